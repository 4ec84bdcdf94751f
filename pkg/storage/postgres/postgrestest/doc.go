// Package postgrestest gives tests a real PostgreSQL.
//
// A test binary that uses New wraps its tests:
//
//	func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }
//
// The first call of New starts one server for the whole binary, on a Unix socket in a
// temporary directory, and Main stops it after the last test. If the environment
// variable POSTGRES_TEST_DSN names a server, that one is used instead and left running.
// POSTGRES_TEST_BIN is the folder of the programs of the server to start, if it should be
// another than the newest one installed.
//
// Tests that stop or kill their server start their own with StartServer.
package postgrestest
