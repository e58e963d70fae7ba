------------------------------ MODULE Dispatcher ------------------------------
(* The pull queue in front of the workers that run the state transition.       *)
(*                                                                             *)
(* Tasks wait in lanes: duties, blocks, attestations, attestations of peers    *)
(* that are not proven, queries. An idle worker pulls. Duties come first, and  *)
(* the reserved worker takes nothing else. Of the other lanes the first that   *)
(* has a task is served, unless there is one that Turns pulls in a row have    *)
(* passed over. Tasks that need a state that is being loaded are passed over.  *)
(* An attestation is pulled with those behind it that need the same state, at  *)
(* most Batch, and no more than its share if idle workers divide them. A       *)
(* worker that is done, or panics over its tasks, ends its claim, and what it  *)
(* has in hand is not tried again. A worker that finds that its block needs a  *)
(* state that is being loaded puts the block back, to the front of its lane,   *)
(* until that state is there. Once closed, the queue takes no task, and hands  *)
(* out those that wait.                                                        *)
(*                                                                             *)
(* A task is a pair: what it is, and the state it waits for, or "none".        *)
(*                                                                             *)
(* Only must-fail configurations change these constants:                       *)
(*   Reserves    the reserved worker takes duties alone                        *)
(*   TakesTurns  a lane that was passed over often enough is served            *)
(*   Looks       a task whose state is being loaded is passed over             *)
(*   Frees       a worker that panics ends its claim                           *)
(*   Refuses     a full lane takes no task                                     *)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  Used, Keys, General, Capacity, Batch, Turns, Requeues, Reserves, TakesTurns, Looks, Frees, Refuses

Lanes == {"duties", "blocks", "attestations", "unproven", "queries"}
\* Their tasks need a state, and those that need the same one are pulled together.
Shared == {"attestations", "unproven"}
Workers == General \cup {"reserved"}

Rank(l) ==
  CASE l = "duties"       -> 1
    [] l = "blocks"       -> 2
    [] l = "attestations" -> 3
    [] l = "unproven"     -> 4
    [] l = "queries"      -> 5

VARIABLES
  lanes,    \* the waiting tasks of each lane, the first first
  loading,  \* states that are being loaded
  passed,   \* how many pulls in a row have passed each lane over
  hand,     \* the tasks of each worker
  from,     \* the lane that each worker's tasks are of, or "none"
  closed

vars == <<lanes, loading, passed, hand, from, closed>>

Tasks == Lanes \X (Keys \cup {"none"})

TypeOK ==
  /\ \A l \in Lanes : \A n \in 1..Len(lanes[l]) : lanes[l][n] \in Tasks
  /\ loading \subseteq Keys
  /\ \A l \in Lanes : passed[l] \in 0..(Turns + 2)
  /\ \A w \in Workers : \A n \in 1..Len(hand[w]) : hand[w][n] \in Tasks
  /\ \A w \in Workers : from[w] \in Lanes \cup {"none"}
  /\ closed \in BOOLEAN

Init ==
  /\ lanes = [l \in Lanes |-> <<>>]
  /\ loading = {}
  /\ passed = [l \in Lanes |-> 0]
  /\ hand = [w \in Workers |-> <<>>]
  /\ from = [w \in Workers |-> "none"]
  /\ closed = FALSE

Submit(l, key) ==
  /\ l \in Used
  /\ IF l \in Shared THEN key \in Keys ELSE key = "none"
  /\ ~closed
  /\ Refuses => Len(lanes[l]) < Capacity
  /\ lanes' = [lanes EXCEPT ![l] = Append(@, <<l, key>>)]
  /\ UNCHANGED <<loading, passed, hand, from, closed>>

(* ------------------------------------------------------------------- pull *)

IsFree(task) == Looks => task[2] \notin loading

FreeAt(l) == {n \in 1..Len(lanes[l]) : IsFree(lanes[l][n])}

Least(set) == CHOOSE n \in set : \A m \in set : n <= m

\* The lanes from which a worker may pull.
Open(w) ==
  {l \in Lanes : FreeAt(l) # {} /\ ((w = "reserved" /\ Reserves) => l = "duties")}

FirstOf(set) == CHOOSE l \in set : \A m \in set : Rank(l) <= Rank(m)

\* Of the lanes whose turn it is, the one that was passed over most often; of two, the last.
Overdue(set) == {l \in set : TakesTurns /\ passed[l] >= Turns}
MostOverdue(set) ==
  CHOOSE l \in set : \A m \in set :
    passed[m] < passed[l] \/ (passed[m] = passed[l] /\ Rank(m) <= Rank(l))

Served(set) ==
  IF "duties" \in set THEN "duties"
  ELSE IF Overdue(set) # {} THEN MostOverdue(Overdue(set))
  ELSE FirstOf(set)

Idle(w) == Cardinality({v \in General : v # w /\ hand[v] = <<>>})

Min(a, b) == IF a < b THEN a ELSE b

\* The places that worker w takes of lane l.
Places(w, l) ==
  LET first == Least(FreeAt(l))
      key == lanes[l][first][2]
      same == {n \in first..Len(lanes[l]) : lanes[l][n][2] = key}
      share == (Cardinality(same) + Idle(w)) \div (Idle(w) + 1)
      count == IF l \in Shared THEN Min(share, Batch) ELSE 1
  IN  {n \in same : Cardinality({m \in same : m <= n}) <= count}

RECURSIVE Pick(_, _, _)
Pick(sequence, places, n) ==
  IF n > Len(sequence) THEN <<>>
  ELSE (IF n \in places THEN <<sequence[n]>> ELSE <<>>) \o Pick(sequence, places, n + 1)

Pull(w) ==
  /\ hand[w] = <<>>
  /\ Open(w) # {}
  /\ LET l == Served(Open(w))
         places == Places(w, l)
         taken == Pick(lanes[l], places, 1)
         key == taken[1][2]
     IN  /\ hand' = [hand EXCEPT ![w] = taken]
         /\ from' = [from EXCEPT ![w] = l]
         /\ lanes' = [lanes EXCEPT ![l] = Pick(@, (1..Len(@)) \ places, 1)]
         /\ loading' = IF l \in Shared THEN loading \cup {key} ELSE loading
         /\ passed' =
              IF l = "duties" THEN passed
              ELSE [m \in Lanes |->
                IF m # l /\ m \in Open(w) THEN Min(passed[m] + 1, Turns + 2) ELSE 0]
  /\ UNCHANGED closed

(* ---------------------------------------------------------------- workers *)

Claim(w) == IF from[w] \in Shared THEN {hand[w][1][2]} ELSE {}

Lay(w) ==
  /\ hand' = [hand EXCEPT ![w] = <<>>]
  /\ from' = [from EXCEPT ![w] = "none"]

Done(w) ==
  /\ hand[w] # <<>>
  /\ Lay(w)
  /\ loading' = loading \ Claim(w)
  /\ UNCHANGED <<lanes, passed, closed>>

Panic(w) ==
  /\ hand[w] # <<>>
  /\ Lay(w)
  /\ loading' = IF Frees THEN loading \ Claim(w) ELSE loading
  /\ UNCHANGED <<lanes, passed, closed>>

\* The block needs a state that another worker loads.
PutBack(w, key) ==
  /\ Requeues
  /\ from[w] = "blocks"
  /\ key \in loading
  /\ Lay(w)
  /\ lanes' = [lanes EXCEPT !["blocks"] = <<<<"blocks", key>>>> \o @]
  /\ UNCHANGED <<loading, passed, closed>>

Close ==
  /\ ~closed
  /\ closed' = TRUE
  /\ UNCHANGED <<lanes, loading, passed, hand, from>>

\* An empty queue may stay as it is. A task whose claim stays for ever is for liveness to see.
Rests ==
  /\ (\A l \in Lanes : lanes[l] = <<>>) \/ ~Frees
  /\ UNCHANGED vars

Works == \E w \in Workers : Pull(w) \/ Done(w)

Next ==
  \/ \E l \in Lanes, key \in Keys \cup {"none"} : Submit(l, key)
  \/ Works
  \/ \E w \in Workers : Panic(w)
  \/ \E w \in Workers, key \in Keys : PutBack(w, key)
  \/ Close
  \/ Rests

Spec ==
  /\ Init
  /\ [][Next]_vars
  /\ \A w \in Workers : WF_vars(Pull(w)) /\ WF_vars(Done(w))

(* ------------------------------------------------------------- properties *)

ReservedIsForDuties == from["reserved"] \in {"duties", "none"}

\* Two workers never load one state side by side, and what is loaded has a worker.
LoadedOnce ==
  \A v \in Workers, w \in Workers : v # w => Claim(v) \cap Claim(w) = {}

\* A lane holds no more than its capacity, and the tasks that were put back.
Bounded == \A l \in Lanes : Len(lanes[l]) <= Capacity + Cardinality(Workers)

NoLaneIsPassedOverForLong == \A l \in Lanes : passed[l] <= Turns + 1

EveryLaneIsServed == \A l \in Lanes : (lanes[l] # <<>> /\ closed) ~> (lanes[l] = <<>>)

===============================================================================
