// Package crash checks what the provisioner promises while it, and everything that
// it relies on, is killed again and again: that every store comes to be what was
// asked for last, with the credentials it got first, installed once, by one replica
// at a time, and that nothing is left of one that was deleted.
//
// A run has users who create, change, delete and create again some hundred stores.
// Two replicas of the provisioner work on them, as processes of their own, against a
// real kube-apiserver with the cluster's controllers, and our API server on a real
// PostgreSQL. There is no node: a shop's Deployment has no pods.
//
// A provisioner does everything that counts by a request, also inside Helm. So the
// moments at which it can die differ in what it has asked for and in what it knows to
// be done. A wrapper of its clients' transport can end the process before or after any
// request, and so reaches all of them: by verb, resource and client, without a line in
// the code that is tested. A replica is this test's own program, started again as a
// provisioner (provisioner.go); what ships knows nothing of it.
//
// Each replica is started with the points at which fewest have died so far, and dies
// at one of them, or at any time; or it is stopped in the middle of its work for
// longer than its lease lasts, and goes on. Our API server, PostgreSQL and the
// kube-apiserver are killed, too. What has died is started again at once.
//
// When all has been healed, every store must settle within a minute of the last
// kill. Then what there is, what the users were told, what watches have seen of
// Secrets and revisions, the kube-apiserver's audit log and our own server's history
// are checked against each other (check.go).
package crash
