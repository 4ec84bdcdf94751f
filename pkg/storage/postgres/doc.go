// Package postgres implements storage.Interface of k8s.io/apiserver on PostgreSQL.
//
// It stores any API type: objects arrive encoded by a codec, under keys chosen by the
// registry. One Database serves all resources of an API server and hands out
// resource versions from one counter.
//
// # Layers
//
// From the bottom up, each layer uses only those before it:
//
//   - migrations, queries: the schema and every SQL statement
//   - config, dialer, database, migrate, errors: sessions, start-up, translation of errors
//   - log, read, history: reading the tables
//   - hub, peers, follow: the recent changes in memory, in order, kept up to date
//   - committer, write, doubt, claims: group commit of conditional writes
//   - compact, retention, expiry: periodic work
//   - memory: decoded objects for lists that come again
//   - storage, object, get, create, state, update, delete, list, watch, stats: storage.Interface
//   - past: the history of objects, decoded
//   - corrupt, progress: what the API server wants to know of a storage
//
// Package watchcache puts the API server's cache on top.
//
// # Guarantees
//
// Revisions are dense and become visible in order, also with several API servers on
// one database: each batch of writes holds the row lock of the counter until it
// commits. Hence a list at a revision contains every write up to it and none above,
// and a watch delivers each change once and in order.
//
// A write that was acknowledged is committed. A write that was answered by an error
// other than a timeout was not applied. What objects claim beyond their keys (package
// claims) is decided in the transaction of the write and goes with the object. The log
// of changes names the user and the time of each write and outlives the object, as long
// as retention keeps it.
package postgres
