------------------------------- MODULE PtcDuties -------------------------------
(* Lists of who votes on payloads, while a beacon node changes its branch.     *)
(*                                                                             *)
(* The duties of an epoch are those of a branch, and an answer names the root  *)
(* of its branch. In every slot the machine asks for the root. If there is no  *)
(* list under it, or one that does not cover every validator that is known, it *)
(* asks for all duties, and keeps them under the root of that answer. If that  *)
(* root is another one than the one heard before, it asks for the root again.  *)
(* An answer with all duties in which a validator learnt since is missing says *)
(* its root alone. A validator that is learnt has all duties asked for at once *)
(* unless something is asked, and so has a head of another branch the root. A  *)
(* node may change its branch without telling. A vote is on data of the branch *)
(* that the node has, and is signed only if the list under the root of that    *)
(* branch names the validator.                                                 *)
(*                                                                             *)
(* There is one node, one epoch, two branches "a" and "b". Validator 2 may be  *)
(* learnt late. The root of a branch is its name.                              *)
(*                                                                             *)
(* Only must-fail configurations change these constants:                       *)
(*   OwnRoot       a list is kept under the root of the answer that carried it *)
(*   CoversAll     a list counts for the validators that were asked for        *)
(*   Compares      a list is looked up by the root of the data's branch        *)
EXTENDS Naturals, FiniteSets

CONSTANTS Last, Switches, OwnRoot, CoversAll, Compares

Branches == {"a", "b"}
Validators == {1, 2}

VARIABLES
  branch,    \* the branch of the node's head
  known,     \* validators that are known
  asked,     \* what is asked: "idle", "root", or "all" for the duties
  askedFor,  \* for whom the duties are asked
  root,      \* the root that was heard last, or "none"
  listOf,    \* the branch of the list under each root, or "none"
  covers,    \* for whom the list under each root was asked for
  votes,     \* for each vote that was signed: branch of its data, branch of its list
  slot,
  switches   \* how often the node has changed its branch

vars == <<branch, known, asked, askedFor, root, listOf, covers, votes, slot, switches>>

TypeOK ==
  /\ branch \in Branches
  /\ known \subseteq Validators
  /\ asked \in {"idle", "root", "all"}
  /\ askedFor \subseteq Validators
  /\ root \in Branches \cup {"none"}
  /\ \A r \in Branches : listOf[r] \in Branches \cup {"none"}
  /\ \A r \in Branches : covers[r] \subseteq Validators
  /\ \A v \in votes : v[1] \in Branches /\ v[2] \in Branches
  /\ slot \in 0..Last
  /\ switches \in 0..Switches

Init ==
  /\ branch = "a"
  /\ known = {1}
  /\ asked = "root"
  /\ askedFor = {}
  /\ root = "none"
  /\ listOf = [r \in Branches |-> "none"]
  /\ covers = [r \in Branches |-> {}]
  /\ votes = {}
  /\ slot = 0
  /\ switches = 0

(* ---------------------------------------------------------------- machine *)

IsKnown(r) == listOf[r] # "none" /\ (CoversAll => covers[r] = known)

\* The node answers with its root.
Root ==
  /\ asked = "root"
  /\ root' = branch
  /\ asked' = IF IsKnown(branch) THEN "idle" ELSE "all"
  /\ askedFor' = IF IsKnown(branch) THEN {} ELSE known
  /\ UNCHANGED <<branch, known, listOf, covers, votes, slot, switches>>

Under == IF OwnRoot THEN branch ELSE root

IsSettled == ~OwnRoot \/ branch = root
IsComplete == ~CoversAll \/ askedFor = known

\* The node answers with the duties of its branch.
Duties ==
  /\ asked = "all"
  /\ root' = branch
  /\ IF IsComplete
     THEN /\ listOf' = [listOf EXCEPT ![Under] = branch]
          /\ covers' = [covers EXCEPT ![Under] = askedFor]
          /\ asked' = (IF IsSettled THEN "idle" ELSE "root")
          /\ askedFor' = {}
     ELSE /\ UNCHANGED <<listOf, covers>>
          /\ asked' = (IF IsKnown(branch) THEN "idle" ELSE "all")
          /\ askedFor' = (IF IsKnown(branch) THEN {} ELSE known)
  /\ UNCHANGED <<branch, known, votes, slot, switches>>

\* The list that is looked up for data of the node's branch.
Looked == IF Compares THEN branch ELSE IF root = "none" THEN branch ELSE root

Vote ==
  /\ listOf[Looked] # "none"
  /\ votes' = votes \cup {<<branch, listOf[Looked]>>}
  /\ UNCHANGED <<branch, known, asked, askedFor, root, listOf, covers, slot, switches>>

(* ------------------------------------------------------------ surroundings *)

Learn ==
  /\ known = {1}
  /\ known' = {1, 2}
  /\ asked' = IF CoversAll /\ asked = "idle" THEN "all" ELSE asked
  /\ askedFor' = IF CoversAll /\ asked = "idle" THEN {1, 2} ELSE askedFor
  /\ UNCHANGED <<branch, root, listOf, covers, votes, slot, switches>>

Other == IF branch = "a" THEN "b" ELSE "a"

\* The node tells its head, or does not. A head is a root that is heard, too.
Switch(isTold) ==
  /\ switches < Switches
  /\ switches' = switches + 1
  /\ branch' = Other
  /\ asked' = IF OwnRoot /\ isTold /\ asked = "idle" /\ root # Other THEN "root" ELSE asked
  /\ root' = IF OwnRoot /\ isTold THEN Other ELSE root
  /\ UNCHANGED <<known, askedFor, listOf, covers, votes, slot>>

\* What was asked in the slot before is no longer waited for.
Tick ==
  /\ slot < Last
  /\ slot' = slot + 1
  /\ asked' = "root"
  /\ askedFor' = {}
  /\ UNCHANGED <<branch, known, root, listOf, covers, votes, switches>>

Finished ==
  /\ slot = Last
  /\ UNCHANGED vars

Answers ==
  \/ Root
  \/ Duties

Next ==
  \/ Answers
  \/ Vote
  \/ Learn
  \/ \E isTold \in BOOLEAN : Switch(isTold)
  \/ Tick
  \/ Finished

Spec == Init /\ [][Next]_vars /\ WF_vars(Answers) /\ WF_vars(Tick)

(* ------------------------------------------------------------- properties *)

OwnBranch == \A v \in votes : v[1] = v[2]

IsCovered == listOf[branch] = branch /\ covers[branch] = known

\* Once the machine has heard of the node's branch. Of a change that is not told it hears in the next
\* slot, and here there is a last one.
EveryoneIsCovered == (slot = Last /\ root = branch) ~> (IsCovered \/ root # branch)

==============================================================================
