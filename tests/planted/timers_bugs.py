"""The planted timers, and the test of the kit that names each bug."""

from __future__ import annotations

from typing import Final

from tests.planted.catching import Planted


def _bug(name: str, plugin: str, caught_by: str, *, url: str = "planted:") -> Planted:
    return Planted(name, "timers", f"tests.planted.timers_{plugin}", url, caught_by)


BUGS: Final = (
    _bug("Timers fire a second early.", "times:EarlyByASecond", "test_a_timer_is_never_early"),
    _bug(
        "Due times are rounded to seconds.",
        "times:WholeSeconds",
        "test_due_times_and_keys_come_back_as_scheduled",
    ),
    _bug("Timers are claimed in the order of their keys.", "times:ByKey", "test_the_longest_due_come_first"),
    _bug(
        "A key that is known keeps its first time.",
        "times:FirstScheduleStays",
        "test_scheduling_replaces_by_a_later_time",
    ),
    _bug("Waiting does not end when a timer is due.", "times:WaitsItsTime", "test_waiting_ends_when_a_timer_is_due"),
    _bug("Waiting overlooks a new timer.", "times:NeverWoken", "test_waiting_is_woken_by_a_new_timer"),
    _bug("Waiting returns at once while a timer is claimed.", "times:WaitSpins", "test_waiting_does_not_spin"),
    _bug(
        "Whoever says done removes the timer (lease without token).",
        "claims:LeaseWithoutToken",
        "test_done_is_void_when_the_timer_was_scheduled_anew",
    ),
    _bug(
        "All leases have the same token.",
        "claims:TokenOfTheTimer",
        "test_done_is_void_when_the_timer_was_taken_over",
    ),
    _bug("A claimed timer is deleted.", "claims:LostOnClaim", "test_a_claim_alone_loses_nothing"),
    _bug(
        "The lease of a claim is ignored.",
        "claims:LeaseIgnored",
        "test_a_claimed_timer_is_passed_over_until_its_lease_ends",
    ),
    _bug(
        "A timer that is scheduled anew keeps the lease of the old one.",
        "claims:RescheduleKeepsTheLease",
        "test_a_claimed_timer_that_is_scheduled_anew_fires_again",
    ),
    _bug(
        "Scheduling a claimed timer anew is ignored.",
        "claims:RescheduleIgnored",
        "test_rescheduling_against_done",
    ),
    _bug("A claimed timer can't be cancelled.", "claims:CancelIgnored", "test_a_cancelled_timer_does_not_fire"),
    _bug("Cancel returns before the timer is removed.", "claims:CancelLate", "test_cancel_against_fire"),
    _bug(
        "Two claimers get the same timer (check then act).",
        "claims:TwoClaimersGetTheSame",
        "test_two_claimers_never_get_the_same_timer",
    ),
    _bug(
        "Schedule returns before the timer is kept.",
        "claims:KeptBeforeDurable",
        "test_timers_of_a_killed_process_are_kept",
        url="planted:///TMP/market.db",
    ),
)
