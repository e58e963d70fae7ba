//! One test for each rule of the ColdDB, and must-fail twins: the same check over writes that break
//! a rule on purpose.
