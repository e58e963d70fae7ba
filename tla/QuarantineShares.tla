--------------------------- MODULE QuarantineShares ---------------------------
(* How peers share the Quarantine: who is checked next, who gives way, and how *)
(* long an item may wait.                                                      *)
(*                                                                             *)
(* Each of two peers sends its items in their order. One item waits for a      *)
(* parent that never comes, the others are ready to be checked. At most Window *)
(* items are being checked, at most PerPeer of one peer, and at most Unproven  *)
(* that were sent off for peers that were not proven then. A peer is proven    *)
(* once an item of it is accepted.                                             *)
(*                                                                             *)
(* Each peer has a tag in virtual time. Among the peers that may be served,    *)
(* the one with the lowest tag is; between equal tags a proven peer goes       *)
(* first, and then the peer whose item came first. The virtual time moves on   *)
(* to the tag of the peer that is served, and this tag moves on from there: by *)
(* 1 if the peer is proven, by 8 if not. A peer that begins to have something  *)
(* ready starts no earlier than the virtual time. When nothing is ready, all   *)
(* begin anew.                                                                 *)
(*                                                                             *)
(* There is room for Room items, and for Quota of one peer; a further one of   *)
(* that peer is dropped. If more than Room are held, the peer that holds most  *)
(* gives way, where the items of a peer that is not proven count eight times.  *)
(* Of its items the one that has waited longest goes, or else the one that     *)
(* became ready last. What is being checked or imported stays. An item that    *)
(* waits is dropped once it has waited Patience slots.                         *)
(*                                                                             *)
(* Left out here: invalid items and what they cost, weights, copies of one     *)
(* item, items that others wait for, bytes, and the other kinds of items.      *)
(*                                                                             *)
(* Watches counts how often a peer is passed over, which splits states. Only   *)
(* must-fail configurations change the constants that follow it:               *)
(*   Fair      tags decide, and not the order of arrival                       *)
(*   Largest   who holds most gives way, and not the newest item               *)
(*   Bounds    the room is bounded                                             *)
(*   Windowed  the numbers of checks under way are bounded                     *)
(*   Expires   what has waited too long is dropped                             *)
(*   Frees     a check that ends frees its place                               *)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  Items, Window, PerPeer, Unproven, Room, Quota, Patience, Last, Watches,
  Fair, Largest, Bounds, Windowed, Expires, Frees

Peers == {1, 2}

\* What each peer sends, in this order, as far as it is among the items.
Sends(p) == IF p = 1 THEN <<"aw", "a1", "a2">> ELSE <<"b1", "b2", "b3">>

Peer(i) == IF i \in {"aw", "a1", "a2"} THEN 1 ELSE 2

HasParent(i) == i # "aw"

VARIABLES
  place,    \* where each item is
  held,     \* the items that are held, in the order of arrival
  until,    \* the slot at whose begin an item that waits has waited too long; 0 for any other
  slot,
  proven,   \* peers
  sent,     \* items that are being checked, and were sent off for a peer that was not proven
  tag,      \* of each peer; 0 if it has nothing ready and its tag does not lie ahead of `now`
  now,      \* the virtual time
  passed,   \* how often another peer without proof was served in each peer's place, if Watches
  wronged   \* whether an item had to go though another peer held more

vars == <<place, held, until, slot, proven, sent, tag, now, passed, wronged>>

Places ==
  {"away", "waits", "ready", "checking", "importing", "accepted",
   "quota", "full", "evicted", "expired"}

TypeOK ==
  /\ \A i \in Items : place[i] \in Places
  /\ \A n \in 1..Len(held) : held[n] \in Items
  /\ \A i \in Items : until[i] \in 0..(Last + Patience)
  /\ slot \in 1..Last
  /\ proven \subseteq Peers
  /\ sent \subseteq Items
  /\ \A p \in Peers : tag[p] \in 0..40
  /\ now \in 0..32
  /\ \A p \in Peers : passed[p] \in 0..3
  /\ wronged \in BOOLEAN

Init ==
  /\ place = [i \in Items |-> "away"]
  /\ held = <<>>
  /\ until = [i \in Items |-> 0]
  /\ slot = 1
  /\ proven = {}
  /\ sent = {}
  /\ tag = <<0, 0>>
  /\ now = 0
  /\ passed = <<0, 0>>
  /\ wronged = FALSE

(* ---------------------------------------------------------- who is served *)

Max(a, b) == IF a > b THEN a ELSE b

Position(i, line) == CHOOSE n \in 1..Len(line) : line[n] = i

Oldest(items, line) ==
  CHOOSE i \in items : \A j \in items : Position(i, line) <= Position(j, line)

Newest(items, line) ==
  CHOOSE i \in items : \A j \in items : Position(i, line) >= Position(j, line)

At(word, places, p) == {i \in Items : places[i] = word /\ Peer(i) = p}

NothingIsReady(places) == \A i \in Items : places[i] # "ready"

Checking(places) == {i \in Items : places[i] = "checking"}

\* The tag of p, or 0 if it says nothing any more.
TagOf(p, tags, time, places) ==
  IF NothingIsReady(places) \/ (At("ready", places, p) = {} /\ tags[p] <= time)
  THEN 0
  ELSE tags[p]

Settled(tags, time, places) == <<TagOf(1, tags, time, places), TagOf(2, tags, time, places)>>

(* Below, s is a record of all variables but the slot. *)

State ==
  [place |-> place, held |-> held, until |-> until, proven |-> proven, sent |-> sent, tag |-> tag,
   now |-> now, passed |-> passed, wronged |-> wronged]

MayBeServed(p, s) ==
  Windowed =>
    /\ Cardinality(Checking(s.place)) < Window
    /\ Cardinality(At("checking", s.place, p)) < PerPeer
    /\ p \in s.proven \/ Cardinality(s.sent) < Unproven

\* Of each peer that may be served and has something ready, what came first.
Heads(s) ==
  {i \in Items :
    /\ s.place[i] = "ready"
    /\ MayBeServed(Peer(i), s)
    /\ \A j \in At("ready", s.place, Peer(i)) : Position(i, s.held) <= Position(j, s.held)}

IsBefore(i, j, s) ==
  LET p == Peer(i)
      q == Peer(j)
      cameFirst == Position(i, s.held) < Position(j, s.held)
  IN  IF ~Fair THEN cameFirst
      ELSE IF s.tag[p] # s.tag[q] THEN s.tag[p] < s.tag[q]
      ELSE IF (p \in s.proven) # (q \in s.proven) THEN p \in s.proven
      ELSE cameFirst

\* How often q was passed over once item i is sent off.
Times(q, i, s) ==
  IF Peer(i) = q THEN 0
  ELSE IF Watches /\ Peer(i) \notin s.proven /\ (\E j \in Heads(s) : Peer(j) = q)
  THEN s.passed[q] + 1
  ELSE s.passed[q]

\* Item i is sent off.
SentOff(i, s) ==
  LET p == Peer(i)
      isProven == p \in s.proven
      places == [s.place EXCEPT ![i] = "checking"]
      start == Max(s.now, s.tag[p])
      moved == [s.tag EXCEPT ![p] = start + (IF isProven THEN 1 ELSE 8)]
  IN  [s EXCEPT
        !.place = places,
        !.sent = IF isProven THEN s.sent ELSE s.sent \cup {i},
        !.tag = Settled(moved, start, places),
        !.now = IF NothingIsReady(places) THEN 0 ELSE start,
        !.passed = <<Times(1, i, s), Times(2, i, s)>>]

\* What is served next, if anything: a set of one item at most.
Served(s) == {i \in Heads(s) : \A j \in Heads(s) : i = j \/ IsBefore(i, j, s)}

\* What comes of serving once: a set of one record. So it is below.
AfterServing(s) == IF Heads(s) = {} THEN {s} ELSE {SentOff(i, s) : i \in Served(s)}

Rested(s) ==
  [s EXCEPT
    !.tag = Settled(s.tag, s.now, s.place),
    !.now = IF NothingIsReady(s.place) THEN 0 ELSE s.now]

\* The window is filled. A step frees at most two places, which is enough for the windows here.
Filled(s) == UNION {UNION {AfterServing(one) : one \in AfterServing(r)} : r \in {Rested(s)}}

(* --------------------------------------------------------- who gives way *)

HeldOf(p, line) == Cardinality({n \in 1..Len(line) : Peer(line[n]) = p})

Weight(p, line) == HeldOf(p, line) * (IF p \in proven THEN 1 ELSE 8)

MayGo(p, places) == At("waits", places, p) \cup At("ready", places, p)

\* Of two peers that hold the same, the second gives way.
GivesWay(places, line) ==
  LET able == {p \in Peers : MayGo(p, places) # {}}
  IN  CHOOSE p \in able : \A q \in able :
        \/ p = q
        \/ Weight(p, line) > Weight(q, line)
        \/ Weight(p, line) = Weight(q, line) /\ p > q

Victim(places, line) ==
  LET p == GivesWay(places, line)
      waiting == At("waits", places, p)
  IN  IF waiting # {} THEN Oldest(waiting, line) ELSE Newest(At("ready", places, p), line)

RECURSIVE Without(_, _)
Without(line, gone) ==
  IF line = <<>> THEN line
  ELSE IF Head(line) \in gone THEN Without(Tail(line), gone)
  ELSE <<Head(line)>> \o Without(Tail(line), gone)

(* ------------------------------------------------------------------ steps *)

\* The numbers of what peer p has not sent yet.
Unsent(p) == {n \in 1..Len(Sends(p)) : Sends(p)[n] \in Items /\ place[Sends(p)[n]] = "away"}

NextOf(p) == {Sends(p)[n] : n \in {n \in Unsent(p) : \A m \in Unsent(p) : n <= m}}

\* What has to go when item i has come, if anything, and the word for it.
Gone(i, places, line) ==
  IF HeldOf(Peer(i), line) > Quota THEN {<<i, "quota">>}
  ELSE IF ~Bounds \/ Len(line) <= Room THEN {<<"none", "none">>}
  ELSE IF ~Largest THEN {<<i, "full">>}
  ELSE {<<j, IF j = i THEN "full" ELSE "evicted">> : j \in {Victim(places, line)}}

\* The item goes for want of room, and another peer that has something to give holds more.
IsWronged(gone, places, line) ==
  /\ gone[2] \in {"full", "evicted"}
  /\ \E q \in Peers : MayGo(q, places) # {} /\ Weight(q, line) > Weight(Peer(gone[1]), line)

UntilOf(j, i, left) ==
  IF left[j] # "waits" THEN 0 ELSE IF j = i THEN slot + Patience ELSE until[j]

\* Item i has come, `gone` has gone, and that left these places.
Come(i, gone, left, places, line) ==
  LET p == Peer(i)
      begins == HasParent(i) /\ At("ready", place, p) = {}
  IN  [State EXCEPT
        !.place = left,
        !.held = Without(line, {gone[1]}),
        !.until = [j \in Items |-> UntilOf(j, i, left)],
        !.tag = IF begins THEN [tag EXCEPT ![p] = Max(tag[p], now)] ELSE tag,
        !.wronged = wronged \/ IsWronged(gone, places, line)]

Left(gone, places) ==
  IF gone[1] = "none" THEN places ELSE [places EXCEPT ![gone[1]] = gone[2]]

\* What comes of item i: a set of one record.
Taken(i, places, line) ==
  UNION {Filled(Come(i, gone, Left(gone, places), places, line)) : gone \in Gone(i, places, line)}

Become(s) ==
  /\ place' = s.place
  /\ held' = s.held
  /\ until' = s.until
  /\ proven' = s.proven
  /\ sent' = s.sent
  /\ tag' = s.tag
  /\ now' = s.now
  /\ passed' = s.passed
  /\ wronged' = s.wronged

\* Item i comes.
Submit(i) ==
  /\ \E s \in Taken(i, [place EXCEPT ![i] = IF HasParent(i) THEN "ready" ELSE "waits"],
                    Append(held, i)) :
       Become(s)
  /\ UNCHANGED slot

\* The check of an item ends. The item is valid.
Answered(i) ==
  [State EXCEPT
    !.place = [place EXCEPT ![i] = "importing"],
    !.sent = IF Frees THEN sent \ {i} ELSE sent]

Answer(i) ==
  /\ place[i] = "checking"
  /\ \E s \in Filled(Answered(i)) : Become(s)
  /\ UNCHANGED slot

\* The item is imported, and its peer is proven by it.
Imported(i) ==
  [State EXCEPT
    !.place = [place EXCEPT ![i] = "accepted"],
    !.held = Without(held, {i}),
    !.proven = proven \cup {Peer(i)}]

Import(i) ==
  /\ place[i] = "importing"
  /\ \E s \in Filled(Imported(i)) : Become(s)
  /\ UNCHANGED slot

Tick ==
  /\ slot < Last
  /\ slot' = slot + 1
  /\ LET gone == {i \in Items : Expires /\ place[i] = "waits" /\ until[i] <= slot + 1}
     IN  /\ place' = [i \in Items |-> IF i \in gone THEN "expired" ELSE place[i]]
         /\ held' = Without(held, gone)
         /\ until' = [i \in Items |-> IF i \in gone THEN 0 ELSE until[i]]
  /\ UNCHANGED <<proven, sent, tag, now, passed, wronged>>

\* What waits may do so for ever, as the slots end here.
Finished ==
  /\ slot = Last
  /\ \A i \in Items : place[i] \notin {"away", "checking", "importing"}
  /\ NothingIsReady(place) \/ ~Frees
  /\ UNCHANGED vars

Works == \E i \in Items : Answer(i) \/ Import(i)

Next ==
  \/ \E p \in Peers : \E i \in NextOf(p) : Submit(i)
  \/ Works
  \/ Tick
  \/ Finished

Spec == Init /\ [][Next]_vars /\ WF_vars(Works)

(* ------------------------------------------------------------- properties *)

IsBounded ==
  /\ Len(held) <= Room
  /\ \A p \in Peers : HeldOf(p, held) <= Quota

WindowIsKept ==
  /\ Cardinality(Checking(place)) <= Window
  /\ \A p \in Peers : Cardinality(At("checking", place, p)) <= PerPeer
  /\ Cardinality(sent) <= Unproven

\* A peer that might be served waits for at most two items of another one without proof: one because
\* it was served before, and one because that item came before its own.
PeersTakeTurns == \A p \in Peers : passed[p] <= 2

\* Whoever holds less than another loses nothing to it.
TheLargestGivesWay == ~wronged

NothingWaitsTooLong == \A i \in Items : place[i] = "waits" => slot < until[i]

EveryReadyItemIsChecked == \A i \in Items : (place[i] = "ready") ~> (place[i] # "ready")

===============================================================================
