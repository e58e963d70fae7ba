-------------------------------- MODULE Mailbox --------------------------------
(* A bounded mailbox: requests of senders and replies to questions, one        *)
(* receiver, an orderly end.                                                   *)
(*                                                                             *)
(* A request needs a place of the capacity. A sender may keep a place first,   *)
(* and use it or give it back later. A reply has a slot of its own, which the  *)
(* receiver gave out before. Items are received in the order in which they     *)
(* were accepted. If there is no room, a request is refused, or with Evicts    *)
(* takes the place of the oldest request in line; a reply or a kept place      *)
(* never goes that way.                                                        *)
(*                                                                             *)
(* After the close, which either side asks for or the last sender's drop       *)
(* brings about, no request is accepted. What is in line is received, and kept *)
(* places and slots that are out still deliver. Then the receiver is told the  *)
(* end. If the receiver is dropped, what is in line is dropped, and whatever   *)
(* is sent comes back.                                                         *)
(*                                                                             *)
(* A request that is refused stays new, and may be sent again.                 *)
(*                                                                             *)
(* Of the places and the slots that are given back, up to MostBack each are    *)
(* counted, so that what follows is told from what would be without that.      *)
(*                                                                             *)
(* Only must-fail configurations change these constants:                       *)
(*   CountsKept     a kept place takes room                                    *)
(*   SparesReplies  an eviction takes a request, and never a reply             *)
(*   AwaitsKept     the end is told after the last kept place and slot         *)
(*   GivesBack      a slot that is dropped is given back                       *)
(*   Outlives       a slot that is out delivers after the close                *)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  Requests, Replies, Capacity, Slots, MostKept, MostBack, Evicts,
  CountsKept, SparesReplies, AwaitsKept, GivesBack, Outlives

Items == Requests \cup Replies

VARIABLES
  line,      \* accepted items that have not been received, the oldest first
  fate,      \* what has become of each item
  kept,      \* places of the capacity that are kept
  slots,     \* slots for replies that are out
  closed,
  senders,   \* whether there is a sender
  receiver,  \* "takes", "ended" once it was told the end, or "gone"
  back       \* how many places and slots were given back, up to MostBack each

vars == <<line, fate, kept, slots, closed, senders, receiver, back>>

Fates == {"new", "inLine", "received", "evicted", "back", "dropped"}

TypeOK ==
  /\ \A n \in 1..Len(line) : line[n] \in Items
  /\ \A i \in Items : fate[i] \in Fates
  /\ kept \in 0..MostKept
  /\ slots \in 0..Slots
  /\ closed \in BOOLEAN
  /\ senders \in BOOLEAN
  /\ receiver \in {"takes", "ended", "gone"}
  /\ \A what \in {"places", "slots"} : back[what] \in 0..MostBack

Init ==
  /\ line = <<>>
  /\ fate = [i \in Items |-> "new"]
  /\ kept = 0
  /\ slots = 0
  /\ closed = FALSE
  /\ senders = TRUE
  /\ receiver = "takes"
  /\ back = [what \in {"places", "slots"} |-> 0]

InLine(kind) == {n \in 1..Len(line) : line[n] \in kind}

HasRoom == Cardinality(InLine(Requests)) + (IF CountsKept THEN kept ELSE 0) < Capacity

(* ---------------------------------------------------------------- senders *)

Accept(i) ==
  /\ line' = Append(line, i)
  /\ fate' = [fate EXCEPT ![i] = "inLine"]

Return(i) ==
  /\ line' = line
  /\ fate' = [fate EXCEPT ![i] = "back"]

CanGo(n) == SparesReplies => line[n] \in Requests

\* The oldest item that may go gives its place to i.
Evict(i) ==
  \E n \in 1..Len(line) :
    /\ CanGo(n)
    /\ \A m \in 1..(n - 1) : ~CanGo(m)
    /\ line' = Append(SubSeq(line, 1, n - 1) \o SubSeq(line, n + 1, Len(line)), i)
    /\ fate' = [fate EXCEPT ![i] = "inLine", ![line[n]] = "evicted"]

Send(i) ==
  /\ i \in Requests
  /\ senders
  /\ fate[i] = "new"
  /\ IF closed
     THEN Return(i)
     ELSE IF HasRoom
     THEN Accept(i)
     ELSE /\ Evicts
          /\ InLine(Requests) # {}
          /\ Evict(i)
  /\ UNCHANGED <<kept, slots, closed, senders, receiver, back>>

Keep ==
  /\ senders
  /\ ~closed
  /\ HasRoom
  /\ kept < MostKept
  /\ kept' = kept + 1
  /\ UNCHANGED <<line, fate, slots, closed, senders, receiver, back>>

Use(i) ==
  /\ i \in Requests
  /\ kept > 0
  /\ fate[i] = "new"
  /\ kept' = kept - 1
  /\ IF receiver = "gone" THEN Return(i) ELSE Accept(i)
  /\ UNCHANGED <<slots, closed, senders, receiver, back>>

GiveBack(what) == back' = [back EXCEPT ![what] = IF @ < MostBack THEN @ + 1 ELSE @]

Withdraw ==
  /\ kept > 0
  /\ kept' = kept - 1
  /\ GiveBack("places")
  /\ UNCHANGED <<line, fate, slots, closed, senders, receiver>>

(* ---------------------------------------------------------------- replies *)

\* The receiver gives out a slot.
Ask ==
  /\ receiver = "takes"
  /\ slots + Cardinality(InLine(Replies)) < Slots
  /\ slots' = slots + 1
  /\ UNCHANGED <<line, fate, kept, closed, senders, receiver, back>>

Reply(i) ==
  /\ i \in Replies
  /\ slots > 0
  /\ fate[i] = "new"
  /\ slots' = slots - 1
  /\ IF receiver = "gone" \/ (closed /\ ~Outlives) THEN Return(i) ELSE Accept(i)
  /\ UNCHANGED <<kept, closed, senders, receiver, back>>

DropSlot ==
  /\ slots > 0
  /\ GivesBack
  /\ slots' = slots - 1
  /\ GiveBack("slots")
  /\ UNCHANGED <<line, fate, kept, closed, senders, receiver>>

(* --------------------------------------------------------------- receiver *)

Take ==
  /\ receiver = "takes"
  /\ line # <<>>
  /\ line' = Tail(line)
  /\ fate' = [fate EXCEPT ![Head(line)] = "received"]
  /\ UNCHANGED <<kept, slots, closed, senders, receiver, back>>

TellEnd ==
  /\ receiver = "takes"
  /\ closed
  /\ line = <<>>
  /\ AwaitsKept => kept = 0 /\ slots = 0
  /\ receiver' = "ended"
  /\ UNCHANGED <<line, fate, kept, slots, closed, senders, back>>

ReceiverGoes ==
  /\ receiver # "gone"
  /\ receiver' = "gone"
  /\ closed' = TRUE
  /\ line' = <<>>
  /\ fate' = [i \in Items |-> IF fate[i] = "inLine" THEN "dropped" ELSE fate[i]]
  /\ UNCHANGED <<kept, slots, senders, back>>

(* ---------------------------------------------------------------- the end *)

Close ==
  /\ ~closed
  /\ closed' = TRUE
  /\ UNCHANGED <<line, fate, kept, slots, senders, receiver, back>>

SenderGoes ==
  /\ senders
  /\ senders' = FALSE
  /\ closed' = TRUE
  /\ UNCHANGED <<line, fate, kept, slots, receiver, back>>

\* What is kept or out is used at some time, or given back.
Delivers ==
  \/ \E i \in Items : Use(i)
  \/ Withdraw
  \/ \E i \in Items : Reply(i)
  \/ DropSlot

Receives ==
  \/ Take
  \/ TellEnd

\* An open mailbox may stay as it is; a receiver that waits for the end of a closed one may not. With
\* a lost slot it waits for ever, which is for liveness to see.
Rests ==
  /\ ~closed \/ receiver # "takes" \/ ~GivesBack
  /\ UNCHANGED vars

Next ==
  \/ \E i \in Items : Send(i)
  \/ Keep
  \/ Ask
  \/ Delivers
  \/ Receives
  \/ ReceiverGoes
  \/ Close
  \/ SenderGoes
  \/ Rests

\* The receiver asks nothing more once the mailbox has closed: otherwise it may go on for ever.
AsksNoMore == closed => slots' <= slots

Spec == Init /\ [][Next]_vars

FairSpec ==
  /\ Init
  /\ [][Next /\ AsksNoMore]_vars
  /\ WF_vars(Delivers)
  /\ WF_vars(Receives)

(* ------------------------------------------------------------- properties *)

Bounded ==
  /\ Cardinality(InLine(Requests)) + kept <= Capacity
  /\ Cardinality(InLine(Replies)) + slots <= Slots

RepliesAreNotEvicted == \A i \in Replies : fate[i] # "evicted"

\* Only a receiver that is gone sends back what has a place or a slot.
DeliversToTheEnd == \A i \in Replies : fate[i] = "back" => receiver = "gone"

EndIsTheEnd == receiver = "ended" => line = <<>> /\ kept = 0 /\ slots = 0

EveryMailboxEnds == closed ~> receiver # "takes"

EveryItemIsReceived == \A i \in Items : (fate[i] = "inLine") ~> (fate[i] # "inLine")

===============================================================================
