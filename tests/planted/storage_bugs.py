"""The planted storages, and the test of the kit that names each bug."""

from __future__ import annotations

from typing import Final

from tests.planted.catching import Planted

POSTGRESQL: Final = "planted://POSTGRESQL"
"""In the place of a database that is made for the test."""
_URLS: Final = {"committing": "planted:///TMP/market.db", "answering": POSTGRESQL}


def _bug(name: str, plugin: str, caught_by: str) -> Planted:
    url = _URLS.get(plugin.partition(":")[0], "planted:")
    return Planted(name, "storage", f"tests.planted.storage_{plugin}", url, caught_by)


BUGS: Final = (
    _bug("Nothing is held: check, then act.", "deciding:CheckThenAct", "test_of_many_buyers_of_one_ticket_one_gets_it"),
    _bug("The last write wins.", "deciding:LastWriteWins", "test_no_update_of_an_entity_is_lost"),
    _bug("Versions do not count.", "deciding:VersionOfTheCaller", "test_no_update_of_an_entity_is_lost"),
    _bug(
        "What does not exist is not held.",
        "deciding:AbsentNotHeld",
        "test_the_limit_of_a_buyer_who_was_never_seen_holds",
    ),
    _bug("What is shared is not held.", "deciding:SharedNotHeld", "test_what_is_shared_does_not_change_meanwhile"),
    _bug(
        "A command's record is looked up before it is held.",
        "deciding:CommandNotHeld",
        "test_a_new_command_given_many_times_at_once_has_one_effect",
    ),
    _bug(
        "What a decision asked for first is not read anew when it asks for more.",
        "deciding:NeedOnStaleFirstPart",
        "test_a_decision_that_asks_for_more_sees_one_newest_state",
    ),
    _bug(
        "What is held stays held while more is waited for.",
        "deciding:KeepsWhileItAsks",
        "test_decisions_that_find_keys_in_opposite_order_all_end",
    ),
    _bug(
        "A cancelled waiter keeps its place in the queue.",
        "deciding:CancelLeak",
        "test_a_cancelled_waiter_leaves_all_or_nothing",
    ),
    _bug("One bad decision fails its batch.", "deciding:OneBadFailsBatch", "test_a_decision_with_a_bug_fails_alone"),
    _bug(
        "What is refused late is half written.",
        "deciding:RefusedHalfWritten",
        "test_an_event_that_is_too_large_is_refused_alone",
    ),
    _bug("A refusal is put on record.", "deciding:RefusalOnRecord", "test_a_refused_command_is_not_on_record"),
    _bug("Commands are not put on record.", "deciding:NotOnRecord", "test_a_command_given_again_is_answered_again"),
    _bug(
        "The fingerprint of a command is ignored.",
        "deciding:FingerprintIgnored",
        "test_a_command_id_for_another_request_is_refused",
    ),
    _bug(
        "Events are not marked as consumed.",
        "deciding:MarksForgotten",
        "test_the_same_event_handled_twice_has_one_effect",
    ),
    _bug(
        "The app's statements are dropped without a word.",
        "deciding:AlsoDropped",
        "test_own_statements_are_refused_when_not_declared",
    ),
    _bug(
        "The app's transaction is ignored without a word.",
        "deciding:WithinIgnored",
        "test_own_statements_are_refused_when_not_declared",
    ),
    _bug(
        "What is only shared can be written.",
        "deciding:UnheldWritten",
        "test_a_decision_that_writes_what_it_does_not_hold_is_refused",
    ),
    _bug(
        "It declares that it is durable, and is not.",
        "deciding:NotDurable",
        "test_what_was_committed_is_there_after_opening_again",
    ),
    _bug(
        "Events are written after the commit.",
        "committing:EventsLater",
        "test_death_after_the_commit_leaves_all",
    ),
    _bug(
        "The command is put on record after the commit.",
        "committing:RecordLater",
        "test_death_after_the_commit_leaves_all",
    ),
    _bug(
        "The event is marked as consumed before its effect.",
        "committing:MarkBeforeEffect",
        "test_death_after_the_commit_leaves_all",
    ),
    _bug(
        "Some decisions are committed twice, each time as another command.",
        "committing:TriedAgain",
        "test_each_decision_has_one_effect",
    ),
    _bug(
        "A lost answer to COMMIT is told as `Unavailable`, without a look.",
        "answering:LostAnswerIsNo",
        "test_a_lost_commit_answer_has_one_effect",
    ),
    _bug(
        "After an unknown commit the batch is run again.",
        "answering:LostAnswerRunAgain",
        "test_a_lost_commit_answer_has_one_effect",
    ),
    _bug(
        "Keys are held in one process only.",
        "committing:AloneInItsProcess",
        "test_two_openings_lose_no_update",
    ),
    _bug(
        "The relay goes by a high-water mark.",
        "telling:HighWaterMark",
        "test_an_event_older_than_published_ones_is_still_claimed",
    ),
    _bug("A lease has no token.", "telling:LeaseWithoutToken", "test_a_late_mark_as_published_is_void"),
    _bug("A late failure counts.", "telling:LateFailureCounts", "test_a_late_mark_as_failed_is_void"),
    _bug("A lease never ends.", "telling:LeaseNeverEnds", "test_the_lease_of_a_dead_relay_is_taken_over"),
    _bug("There is no lease.", "telling:NoLease", "test_two_relays_never_hold_the_same_event"),
    _bug("The time of the next try is ignored.", "telling:RetryIgnored", "test_a_failed_event_waits_for_its_next_try"),
    _bug("An outage counts as attempts.", "telling:OutageCounted", "test_only_counted_failures_count"),
    _bug("Dead letters are dropped.", "telling:DeadDropped", "test_dead_letters_are_kept"),
    _bug("The newest events are claimed first.", "telling:NewestFirst", "test_events_are_claimed_oldest_first"),
    _bug("A commit wakes nobody.", "telling:NeverWoken", "test_waiting_ends_soon_after_a_commit"),
    _bug("Purging deletes what waits.", "telling:PurgesWhatWaits", "test_purging_forgets_only_what_is_old_and_done"),
    _bug(
        "Marks of events are purged like commands.",
        "telling:PurgesMarksAsCommands",
        "test_purging_forgets_only_what_is_old_and_done",
    ),
    _bug(
        "What was published is not published again.",
        "telling:ReplayOnlyDead",
        "test_dead_and_published_events_are_published_again_on_demand",
    ),
    _bug(
        "What was published is not told of any more.",
        "telling:TellsOnlyWhatWaits",
        "test_events_about_some_aggregates_are_found_whatever_became_of_them",
    ),
    _bug(
        "What is tried again later is not told of.",
        "telling:TellsOnlyWhatIsFree",
        "test_events_that_wait_are_told_with_their_tries",
    ),
    _bug("Nobody asked for it.", "telling:ActorForgotten", "test_events_carry_the_new_state"),
    _bug("Webhooks are found until they are applied.", "telling:OnlyNewWebhooks", "test_webhooks_about_a_payment"),
    _bug("Money is a float.", "keeping:FloatMoney", "test_money_is_exact"),
    _bug("Text is normalized.", "keeping:NormalizedText", "test_odd_unicode_comes_back_exactly"),
    _bug("Text is cut by bytes.", "keeping:NarrowText", "test_the_longest_texts_fit"),
    _bug("Times are kept by milliseconds.", "keeping:MillisecondTimes", "test_times_are_exact"),
    _bug("A field is forgotten.", "keeping:FieldForgotten", "test_every_kind_comes_back_as_it_was_written"),
    _bug(
        "The driver's error gets out.",
        "keeping:DriverErrorLeaks",
        "test_text_that_can_not_be_stored_is_refused_alone",
    ),
    _bug("Pages go by offset.", "keeping:OffsetPaging", "test_pages_of_tickets_neither_skip_nor_repeat"),
    _bug("Any cursor will do.", "keeping:CursorOfAnyList", "test_a_cursor_of_another_list_is_refused"),
    _bug("Words are patterns.", "keeping:Wildcards", "test_searches_take_every_character_as_it_is"),
    _bug("Orders are due before their time.", "keeping:DueTooSoon", "test_due_orders"),
    _bug("An order that is being paid holds nothing.", "keeping:OpenOnlyUntilPaid", "test_open_orders"),
)
"""Each with one bug."""
