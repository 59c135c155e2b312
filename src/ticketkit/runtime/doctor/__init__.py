"""Looks at a deployment before it serves: settings, and every backend that they name. It changes nothing.

processes = [Process(services=ALL, settings=Settings())]
for diagnosis in await examine(processes, Plugins.load()):
print(diagnosis.about, diagnosis.finding.what, diagnosis.finding.mend)
"""

from ticketkit.runtime.doctor.diagnosis import Diagnosis
from ticketkit.runtime.doctor.examining import examine
from ticketkit.runtime.doctor.process import Process, Use

__all__ = ["Diagnosis", "Process", "Use", "examine"]
