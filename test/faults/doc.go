// Package faults checks what package postgres promises while everything around it
// fails: that each key is a linearizable register, that a list and the watch that
// continues it tell every change once and in order, and that no acknowledged write is
// lost.
//
// A run is a series of episodes. Each starts servers of its own, opens the database
// several times, loads it with clients and list+watch sessions, and injects one fault
// after the other. Everything that was asked and answered is recorded. At the end of
// the episode, with all faults healed, the records are checked against each other:
//
//   - The auditor watches all keys. Revisions are dense, so that what it saw is the one
//     history, or a revision is missing.
//   - Every acknowledged write must be in that history at the revision it was given, and
//     the order of revisions must be an order in which the calls can have happened.
//   - The calls of each key must be linearizable (github.com/anishathalye/porcupine).
//   - Each session's list must be the history up to its revision, and its events the
//     history from there on.
//
// Values name the write that made them, so that none can be mistaken for another.
//
// The one fault that may lose writes is the promotion of a standby that has not got all
// of them. Then what remains must be what a prefix of the history leaves, no revision
// may be given out twice, and every watch from before must be told to start over.
package faults
