--------------------------------- MODULE Store ---------------------------------
(* The writer of the durable store: it writes behind, and a process may crash  *)
(* between any two of its writes.                                              *)
(*                                                                             *)
(* Blocks are taken in one after the other. For each the block is written, and *)
(* then the entry of the journal that names it. Finality of a block has its    *)
(* state asked for, one at a time. When the state comes, it is written, then   *)
(* the finalised chain, then the point from which a restart begins, and then   *)
(* what these make useless is dropped: the old state, the entries up to the    *)
(* point's, and what lies beside the chain. An entry goes before its block.    *)
(* What is gathered is committed in one transaction. If the store fails,       *)
(* nothing more is written. Finality is acknowledged after its commit.         *)
(*                                                                             *)
(* A crash leaves any prefix of the writes of the transaction under way. The   *)
(* next process begins with what the store has; if that has no point, with an  *)
(* empty store. It first drops the entries that are of no use. If the journal  *)
(* has a block that finalises more than the point says, the point moves next.  *)
(*                                                                             *)
(* Blocks 1, 3, 4 are a chain on the anchor 0, and 2 lies beside it. Block 3   *)
(* finalises 1, and block 4 finalises 3.                                       *)
(*                                                                             *)
(* Only must-fail configurations change these constants:                       *)
(*   BlockFirst     a block is written before its entry                        *)
(*   PointLast      the point is written after the state and the chain         *)
(*   CommitFirst    finality is acknowledged after the commit                  *)
(*   StopsAfterFailure                                                         *)
(*   AsksAgain      finality that has moved meanwhile is asked for             *)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  Last, MostCrashes, MostFailures,
  BlockFirst, PointLast, CommitFirst, StopsAfterFailure, AsksAgain

Blocks == 1..Last
None == 9

Parent(b) == IF b = 3 THEN 1 ELSE IF b = 4 THEN 3 ELSE 0
\* The block that b finalises.
Finalises(b) == IF b = 3 THEN 1 ELSE IF b = 4 THEN 3 ELSE 0

VARIABLES
  taken,     \* blocks up to this one were taken in
  pending,   \* writes that are gathered, in their order
  wanted,    \* the finalised block that the point has not reached, or None
  asked,     \* the block whose state was asked for, or None
  point,     \* the block of the point as the process sees it
  failed,    \* whether the store has failed
  blocks, entries, states, chain,   \* what the store has
  stored,    \* the point of the store, or None
  durable,   \* the block whose finality was acknowledged last
  crashes,
  failures

vars ==
  <<taken, pending, wanted, asked, point, failed, blocks, entries, states, chain, stored,
    durable, crashes, failures>>

disk == <<blocks, entries, states, chain, stored>>

Kinds == {"block", "entry", "state", "final", "point", "dropState", "dropEntry", "dropBlock"}

TypeOK ==
  /\ taken \in 0..Last
  /\ \A n \in 1..Len(pending) : pending[n][1] \in Kinds /\ pending[n][2] \in 0..Last
  /\ wanted \in Blocks \cup {None}
  /\ asked \in Blocks \cup {None}
  /\ point \in 0..Last
  /\ failed \in BOOLEAN
  /\ blocks \subseteq Blocks
  /\ entries \subseteq Blocks
  /\ states \subseteq 0..Last
  /\ chain \subseteq Blocks
  /\ stored \in (0..Last) \cup {None}
  /\ durable \in 0..Last
  /\ crashes \in 0..MostCrashes
  /\ failures \in 0..MostFailures

Begin == <<<<"state", 0>>, <<"point", 0>>>>

Init ==
  /\ taken = 0
  /\ pending = Begin
  /\ wanted = None
  /\ asked = None
  /\ point = 0
  /\ failed = FALSE
  /\ blocks = {}
  /\ entries = {}
  /\ states = {}
  /\ chain = {}
  /\ stored = None
  /\ durable = 0
  /\ crashes = 0
  /\ failures = 0

(* ------------------------------------------------------------- the writes *)

\* Entries that the process knows: those of the store, as the pending writes will leave them.
RECURSIVE EntriesAfter(_, _)
EntriesAfter(known, writes) ==
  IF writes = <<>> THEN known
  ELSE LET write == Head(writes)
           next == IF write[1] = "entry" THEN known \cup {write[2]}
                   ELSE IF write[1] = "dropEntry" THEN known \ {write[2]}
                   ELSE known
       IN  EntriesAfter(next, Tail(writes))

Journal == EntriesAfter(entries, pending)

\* The ancestors of b, with b, that are in the journal: what becomes the finalised chain.
RECURSIVE ChainTo(_, _)
ChainTo(b, known) == IF b \notin known THEN {} ELSE {b} \cup ChainTo(Parent(b), known)

RECURSIVE Ascending(_)
Ascending(set) ==
  IF set = {} THEN <<>>
  ELSE LET least == CHOOSE n \in set : \A m \in set : n <= m
       IN  <<least>> \o Ascending(set \ {least})

RECURSIVE Descends(_, _)
Descends(b, from) == b = from \/ (b # 0 /\ Descends(Parent(b), from))

Map(sequence, kind) == [n \in 1..Len(sequence) |-> <<kind, sequence[n]>>]

\* Drops what is of no use beside the point p: entries up to its own, and what does not descend.
RECURSIVE DropAll(_, _)
DropAll(list, kept) ==
  IF list = <<>> THEN <<>>
  ELSE <<<<"dropEntry", Head(list)>>>>
       \o (IF Head(list) \in kept THEN <<>> ELSE <<<<"dropBlock", Head(list)>>>>)
       \o DropAll(Tail(list), kept)

Drops(p, known) ==
  LET useless == {e \in known : e <= p \/ ~Descends(e, p)}
  IN  DropAll(Ascending(useless), ChainTo(p, known))

Move(p, old, known) ==
  LET state == <<<<"state", p>>>>
      finals == Map(Ascending(ChainTo(p, known)), "final")
      there == <<<<"point", p>>>>
  IN  (IF PointLast THEN state \o finals \o there ELSE there \o state \o finals)
      \o <<<<"dropState", old>>>>
      \o Drops(p, known)

(* ------------------------------------------------------------ the process *)

Take ==
  /\ taken < Last
  /\ taken' = taken + 1
  /\ LET b == taken + 1
         block == <<<<"block", b>>>>
         entry == <<<<"entry", b>>>>
         both == IF BlockFirst THEN block \o entry ELSE entry \o block
     IN  pending' = IF failed THEN pending ELSE pending \o both
  /\ UNCHANGED <<wanted, asked, point, failed, blocks, entries, states, chain, stored, durable,
                 crashes, failures>>

\* Finality of block b is told, for the first time or again.
Finalise(b) ==
  /\ b \in Blocks
  /\ \E by \in 1..taken : Finalises(by) = b
  /\ b > point
  /\ wanted # b
  /\ wanted = None \/ b > wanted
  /\ ~failed
  /\ wanted' = b
  /\ asked' = IF asked = None THEN b ELSE asked
  /\ UNCHANGED <<taken, pending, point, failed, blocks, entries, states, chain, stored, durable,
                 crashes, failures>>

StateComes ==
  /\ asked # None
  /\ ~failed
  /\ IF wanted = asked
     THEN /\ pending' = pending \o Move(asked, point, Journal)
          /\ point' = asked
          /\ wanted' = None
          /\ asked' = None
          /\ durable' = (IF CommitFirst THEN durable ELSE asked)
     ELSE /\ asked' = (IF AsksAgain THEN wanted ELSE None)
          /\ UNCHANGED <<pending, point, wanted, durable>>
  /\ UNCHANGED <<taken, failed, blocks, entries, states, chain, stored, crashes, failures>>

(* -------------------------------------------------------------- the store *)

Apply(kept, kind, drop, writes) ==
  LET Of(word) == {n \in 1..Len(writes) : writes[n][1] = word}
      IsLast(n, word) == \A m \in Of(word) : writes[m][2] = writes[n][2] => m < n
      put == {writes[n][2] : n \in {m \in Of(kind) : IsLast(m, drop)}}
      gone == {writes[n][2] : n \in Of(drop)}
  IN  (kept \ gone) \cup put

LastPoint(writes) ==
  LET moves == {n \in 1..Len(writes) : writes[n][1] = "point"}
  IN  IF moves = {} THEN stored ELSE writes[CHOOSE n \in moves : \A m \in moves : m <= n][2]

Write(writes) ==
  /\ blocks' = Apply(blocks, "block", "dropBlock", writes)
  /\ entries' = Apply(entries, "entry", "dropEntry", writes)
  /\ states' = Apply(states, "state", "dropState", writes)
  /\ chain' = Apply(chain, "final", "never", writes)
  /\ stored' = LastPoint(writes)

Commit ==
  /\ pending # <<>>
  /\ Write(pending)
  /\ pending' = <<>>
  /\ durable' =
       IF \E n \in 1..Len(pending) : pending[n][1] = "point" THEN LastPoint(pending) ELSE durable
  /\ UNCHANGED <<taken, wanted, asked, point, failed, crashes, failures>>

Fail ==
  /\ pending # <<>>
  /\ failures < MostFailures
  /\ failures' = failures + 1
  /\ failed' = StopsAfterFailure
  /\ pending' = <<>>
  /\ UNCHANGED <<taken, wanted, asked, point, blocks, entries, states, chain, stored, durable,
                 crashes>>

Highest(set) == CHOOSE n \in set : \A m \in set : m <= n

\* The block that the entries above the point finalise, or the point.
Finalised(p, known) ==
  LET said == {Finalises(e) : e \in {n \in known : n > p /\ Descends(n, p)}}
  IN  Highest(said \cup {p})

Resumed(p, known) ==
  LET f == Finalised(p, known)
      drops == Drops(p, known)
  IN  drops \o (IF f = p THEN <<>> ELSE Move(f, p, EntriesAfter(known, drops)))

\* The first `written` of the pending writes are in the store when the next process begins.
Crash(written) ==
  /\ crashes < MostCrashes
  /\ written \in 0..Len(pending)
  /\ Write(SubSeq(pending, 1, written))
  /\ crashes' = crashes + 1
  /\ wanted' = None
  /\ asked' = None
  /\ failed' = FALSE
  /\ IF stored' = None
     THEN /\ taken' = 0
          /\ point' = 0
          /\ pending' = Begin
     ELSE /\ taken' = Highest(entries' \cup {stored'})
          /\ point' = Finalised(stored', entries')
          /\ pending' = Resumed(stored', entries')
  /\ UNCHANGED <<durable, failures>>

Finished ==
  /\ taken = Last
  /\ UNCHANGED vars

Works ==
  \/ StateComes
  \/ Commit

Next ==
  \/ Take
  \/ \E b \in Blocks : Finalise(b)
  \/ Works
  \/ Fail
  \/ \E written \in 0..Len(pending) : Crash(written)
  \/ Finished

Spec == Init /\ [][Next]_vars /\ WF_vars(StateComes) /\ WF_vars(Commit)

(* ------------------------------------------------------------- properties *)

\* Whatever is on the disk, a process can go on from it.
Resumes ==
  stored # None =>
    /\ stored \in states
    /\ entries \subseteq blocks
    /\ stored # 0 => ChainTo(stored, Blocks) \subseteq (chain \cap blocks)

\* The journal has no gap: the parent of each block above the point is there.
NothingIsMissing ==
  stored # None =>
    \A e \in entries :
      e > stored /\ Descends(e, stored) => Parent(e) \in entries \cup {stored}

AcknowledgedIsDurable == durable > 0 => stored # None /\ durable <= stored

FinalityIsDurable == \A b \in Blocks : (wanted = b /\ ~failed) ~> (wanted # b \/ failed)

===============================================================================
