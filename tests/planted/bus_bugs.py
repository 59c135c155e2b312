"""The planted buses, and the test of the kit that names each bug."""

from __future__ import annotations

from typing import Final

from tests.planted.catching import Planted


def _bug(name: str, plugin: str, caught_by: str, *, url: str = "planted:?lease=1") -> Planted:
    return Planted(name, "bus", f"tests.planted.bus_{plugin}", url, caught_by)


_SQL: Final = "planted:///TMP/market.db?lease=1"

BUGS: Final = (
    _bug("Two groups share one queue.", "sharing:GroupShared", "test_each_group_gets_every_event"),
    _bug(
        "Each member of a group gets every event.",
        "sharing:MembersEachGetAll",
        "test_members_of_a_group_share_its_events",
    ),
    _bug(
        "The broadcast is shared like a group.",
        "sharing:BroadcastShared",
        "test_a_broadcast_reaches_all_listeners",
    ),
    _bug(
        "A group loses what comes while no member is there.",
        "sharing:GroupStartsLate",
        "test_a_group_gets_what_comes_while_no_member_is_there",
    ),
    _bug(
        "Names are not filtered.",
        "sharing:NamesNotFiltered",
        "test_a_group_gets_only_the_names_it_asked_for",
    ),
    _bug(
        "A dead letter is replayed to all groups.",
        "sharing:ReplayedToAll",
        "test_a_dead_letter_is_replayed_to_its_group_only",
    ),
    _bug(
        "Acknowledged when received, before the effect.",
        "deliveries:AckBeforeEffect",
        "test_what_a_killed_consumer_held_comes_again",
        url=_SQL,
    ),
    _bug(
        "The lease of a slow consumer is not renewed.",
        "deliveries:LeaseNotRenewed",
        "test_what_a_slow_consumer_holds_is_not_taken",
        url=_SQL,
    ),
    _bug(
        "What members hold does not count as lag.",
        "deliveries:LagOfWhatWaits",
        "test_lag_is_what_waits_and_what_was_begun",
    ),
    _bug("A retry is dropped.", "deliveries:RedeliveryDropped", "test_a_retry_comes_again"),
    _bug(
        "The delay of a retry is ignored.",
        "deliveries:DelayIgnored",
        "test_a_delayed_retry_does_not_come_early",
    ),
    _bug(
        "A delayed retry is kept by the member, and gone with it.",
        "deliveries:DelayedInTheMember",
        "test_a_delayed_retry_outlives_its_member",
    ),
    _bug(
        "An outage is counted as attempt.",
        "deliveries:OutageCounted",
        "test_an_outage_of_others_is_not_counted_as_attempt",
    ),
    _bug("A counted retry is not counted.", "deliveries:RetryNotCounted", "test_a_counted_retry_counts"),
    _bug(
        "An event that waits for its next try stalls the rest.",
        "deliveries:PoisonStalls",
        "test_a_retry_does_not_stall_the_rest",
    ),
    _bug(
        "Deliveries in hand stall the rest.",
        "deliveries:OneInHand",
        "test_what_is_held_does_not_stall_the_rest",
    ),
    _bug(
        "A buried event is lost.",
        "deliveries:BuriedIsLost",
        "test_what_is_buried_is_in_the_dead_letters",
    ),
    _bug(
        "A late acknowledgement deletes what another has (lease without token).",
        "deliveries:LateAckCounts",
        "test_a_late_end_of_what_was_given_back_is_void",
    ),
    _bug(
        "A member that leaves gives nothing back.",
        "deliveries:GiveBackForgotten",
        "test_a_member_that_leaves_gives_back_at_once",
    ),
    _bug(
        "What a member gives back is counted as attempt.",
        "deliveries:GiveBackCounted",
        "test_a_member_that_fails_gives_back_at_once",
    ),
    _bug(
        "A cancelled receive loses what it had taken.",
        "deliveries:CancelledReceiveLoses",
        "test_a_cancelled_receive_loses_nothing",
    ),
    _bug("Receive returns more than asked for.", "deliveries:LimitIgnored", "test_receive_returns_at_most_the_limit"),
    _bug(
        "Dead letters are listed newest first.",
        "deliveries:LettersNewestFirst",
        "test_dead_letters_are_listed_oldest_first",
    ),
    _bug(
        "Publish returns before the event is kept.",
        "publishing:PublishBeforeDurable",
        "test_publish_returns_only_when_durable",
        url=_SQL,
    ),
    _bug(
        "What was published once is dropped by its id for ever.",
        "publishing:DroppedById",
        "test_an_event_published_again_comes_again",
    ),
    _bug("A large batch is cut off.", "publishing:BatchCutOff", "test_a_large_batch_arrives_whole"),
    _bug(
        "Times are cut to milliseconds.",
        "publishing:Milliseconds",
        "test_all_attributes_arrive_as_sent",
    ),
    _bug("Texts are normalized.", "publishing:TextsNormalized", "test_odd_texts_arrive_as_sent"),
    _bug(
        "What is handed over is settled before it is handled.",
        "publishing:SettledEarly",
        "test_what_is_handed_over_settles_when_all_groups_ended_it",
    ),
    _bug(
        "A member that leaves settles what it had.",
        "publishing:SettledByLeaving",
        "test_leaving_does_not_settle",
    ),
)
