---------------------------- MODULE EventNotifier ----------------------------
(* An event count between producers and consumers of one queue.               *)
(*                                                                            *)
(* A producer publishes an item, then notifies: fence, look at the number of  *)
(* waiters and, if it is not zero, move the epoch and wake one sleeper.       *)
(* A consumer that finds the queue empty registers, reads the epoch, fences,  *)
(* looks at the queue a second time, and sleeps while the epoch is unchanged. *)
(*                                                                            *)
(* With Buffered, a publication and a registration stay in the writer's store *)
(* buffer until it drains, at any later moment; a fence waits for the drain.  *)
(* This is the store-buffer part of weak memory only: enough to need both     *)
(* fences. The constants SecondLook, ProducerFence and ConsumerFence remove   *)
(* one part of the protocol each; the configurations that do must fail.       *)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
  Producers,      \* numbers of producers
  Consumers,      \* numbers of consumers, different from those of producers
  PerProducer,    \* items that each producer publishes
  Buffered,       \* whether there are store buffers
  SecondLook,     \* whether a consumer looks again after it has registered
  ProducerFence,  \* whether notify begins with a fence
  ConsumerFence   \* whether prepare ends with a fence

VARIABLES
  queue,     \* published items, oldest first, as memory shows them
  waiters,   \* the count of registrations, as memory shows it
  epoch,     \* the word that sleepers compare
  pc,        \* where each process stands
  sent,      \* number of items that each producer has published
  key,       \* the epoch that each consumer has read
  unseen,    \* processes whose last store is still in their buffer
  consumed   \* items taken

vars == <<queue, waiters, epoch, pc, sent, key, unseen, consumed>>

Items == Producers \X (1..PerProducer)
Processes == Producers \cup Consumers

ProducerPlaces == {"publish", "fence", "look", "move", "wake", "done"}
ConsumerPlaces ==
  {"try", "register", "read", "fence", "recheck", "sleep", "asleep", "cancel"}

TypeOK ==
  /\ \A i \in 1..Len(queue) : queue[i] \in Items
  /\ waiters \in 0..Cardinality(Consumers)
  /\ epoch \in 0..Cardinality(Items)
  /\ \A p \in Producers : pc[p] \in ProducerPlaces
  /\ \A c \in Consumers : pc[c] \in ConsumerPlaces
  /\ \A p \in Producers : sent[p] \in 0..PerProducer
  /\ \A c \in Consumers : key[c] \in 0..epoch
  /\ unseen \subseteq Processes
  /\ consumed \subseteq Items

Init ==
  /\ queue = <<>>
  /\ waiters = 0
  /\ epoch = 0
  /\ pc = [x \in Processes |-> IF x \in Producers THEN "publish" ELSE "try"]
  /\ sent = [p \in Producers |-> 0]
  /\ key = [c \in Consumers |-> 0]
  /\ unseen = {}
  /\ consumed = {}

Goto(x, place) == pc' = [pc EXCEPT ![x] = place]

(* ------------------------------------------------------------- producers *)

After(p) == IF sent[p] < PerProducer THEN "publish" ELSE "done"

Publish(p) ==
  /\ pc[p] = "publish"
  /\ p \notin unseen
  /\ sent[p] < PerProducer
  /\ sent' = [sent EXCEPT ![p] = @ + 1]
  /\ IF Buffered
     THEN /\ unseen' = unseen \cup {p}
          /\ queue' = queue
     ELSE /\ unseen' = unseen
          /\ queue' = Append(queue, <<p, sent[p] + 1>>)
  /\ Goto(p, "fence")
  /\ UNCHANGED <<waiters, epoch, key, consumed>>

FenceOfProducer(p) ==
  /\ pc[p] = "fence"
  /\ ProducerFence => p \notin unseen
  /\ Goto(p, "look")
  /\ UNCHANGED <<queue, waiters, epoch, sent, key, unseen, consumed>>

Look(p) ==
  /\ pc[p] = "look"
  /\ Goto(p, IF waiters = 0 THEN After(p) ELSE "move")
  /\ UNCHANGED <<queue, waiters, epoch, sent, key, unseen, consumed>>

Move(p) ==
  /\ pc[p] = "move"
  /\ epoch' = epoch + 1
  /\ Goto(p, "wake")
  /\ UNCHANGED <<queue, waiters, sent, key, unseen, consumed>>

Wake(p) ==
  /\ pc[p] = "wake"
  /\ LET sleepers == {c \in Consumers : pc[c] = "asleep"}
     IN  IF sleepers = {}
         THEN Goto(p, After(p))
         ELSE \E c \in sleepers :
                pc' = [pc EXCEPT ![p] = After(p), ![c] = "sleep"]
  /\ UNCHANGED <<queue, waiters, epoch, sent, key, unseen, consumed>>

Producer(p) ==
  \/ Publish(p)
  \/ FenceOfProducer(p)
  \/ Look(p)
  \/ Move(p)
  \/ Wake(p)

(* ------------------------------------------------------------- consumers *)

\* Takes the oldest item, if there is one; where to go next in either case.
TakeOr(c, taken, empty) ==
  IF Len(queue) > 0
  THEN /\ consumed' = consumed \cup {Head(queue)}
       /\ queue' = Tail(queue)
       /\ Goto(c, taken)
  ELSE /\ Goto(c, empty)
       /\ UNCHANGED <<consumed, queue>>

Try(c) ==
  /\ pc[c] = "try"
  /\ TakeOr(c, "try", "register")
  /\ UNCHANGED <<waiters, epoch, sent, key, unseen>>

Register(c) ==
  /\ pc[c] = "register"
  /\ IF Buffered
     THEN /\ unseen' = unseen \cup {c}
          /\ waiters' = waiters
     ELSE /\ unseen' = unseen
          /\ waiters' = waiters + 1
  /\ Goto(c, "read")
  /\ UNCHANGED <<queue, epoch, sent, key, consumed>>

Read(c) ==
  /\ pc[c] = "read"
  /\ key' = [key EXCEPT ![c] = epoch]
  /\ Goto(c, "fence")
  /\ UNCHANGED <<queue, waiters, epoch, sent, unseen, consumed>>

FenceOfConsumer(c) ==
  /\ pc[c] = "fence"
  /\ ConsumerFence => c \notin unseen
  /\ Goto(c, IF SecondLook THEN "recheck" ELSE "sleep")
  /\ UNCHANGED <<queue, waiters, epoch, sent, key, unseen, consumed>>

Recheck(c) ==
  /\ pc[c] = "recheck"
  /\ TakeOr(c, "cancel", "sleep")
  /\ UNCHANGED <<waiters, epoch, sent, key, unseen>>

\* Comparing the epoch and going to sleep are one step.
Sleep(c) ==
  /\ pc[c] = "sleep"
  /\ Goto(c, IF epoch = key[c] THEN "asleep" ELSE "cancel")
  /\ UNCHANGED <<queue, waiters, epoch, sent, key, unseen, consumed>>

Cancel(c) ==
  /\ pc[c] = "cancel"
  /\ c \notin unseen
  /\ waiters' = waiters - 1
  /\ Goto(c, "try")
  /\ UNCHANGED <<queue, epoch, sent, key, unseen, consumed>>

Consumer(c) ==
  \/ Try(c)
  \/ Register(c)
  \/ Read(c)
  \/ FenceOfConsumer(c)
  \/ Recheck(c)
  \/ Sleep(c)
  \/ Cancel(c)

(* ---------------------------------------------------------- store buffers *)

Drain(x) ==
  /\ x \in unseen
  /\ unseen' = unseen \ {x}
  /\ IF x \in Producers
     THEN /\ queue' = Append(queue, <<x, sent[x]>>)
          /\ waiters' = waiters
     ELSE /\ waiters' = waiters + 1
          /\ queue' = queue
  /\ UNCHANGED <<epoch, pc, sent, key, consumed>>

(* ------------------------------------------------------------------ whole *)

AtRest ==
  /\ \A p \in Producers : pc[p] = "done"
  /\ \A c \in Consumers : pc[c] = "asleep"
  /\ unseen = {}

\* All items are consumed and the consumers wait for more: the only state that may stay as it is.
Finished ==
  /\ AtRest
  /\ consumed = Items
  /\ UNCHANGED vars

Next ==
  \/ \E p \in Producers : Producer(p)
  \/ \E c \in Consumers : Consumer(c)
  \/ \E x \in Processes : Drain(x)
  \/ Finished

Fairness ==
  /\ \A p \in Producers : WF_vars(Producer(p))
  /\ \A c \in Consumers : WF_vars(Consumer(c))
  /\ \A x \in Processes : WF_vars(Drain(x))

Spec == Init /\ [][Next]_vars /\ Fairness

\* The same, but every state at rest may stay as it is: what is stranded then breaks liveness instead
\* of being a deadlock.
PatientNext ==
  \/ Next
  \/ AtRest /\ UNCHANGED vars

PatientSpec == Init /\ [][PatientNext]_vars /\ Fairness

(* ------------------------------------------------------------- properties *)

\* The count is the number of consumers between registration and cancel that memory knows of.
CountIsExact ==
  waiters = Cardinality({c \in Consumers :
    /\ pc[c] \in {"read", "fence", "recheck", "sleep", "asleep", "cancel"}
    /\ c \notin unseen})

\* An item is in one place: a buffer, the queue, or taken.
NothingIsLost ==
  LET buffered == unseen \cap Producers
      published == {<<p, n>> \in Items : n <= sent[p]}
  IN  Cardinality(published) = Cardinality(buffered) + Len(queue) + Cardinality(consumed)

\* At rest nobody sleeps beside an item.
NobodyIsStranded == AtRest => queue = <<>>

EveryItemIsConsumed ==
  \A item \in Items : (item[2] <= sent[item[1]]) ~> (item \in consumed)

==============================================================================
