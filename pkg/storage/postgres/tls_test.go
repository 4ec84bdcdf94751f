package postgres

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// TestTLS connects to a server whose certificate for localhost is of an authority of its
// own, and then to the same server without TLS.
func TestTLS(t *testing.T) {
	t.Parallel()
	trusted, stranger := newAuthority(t), newAuthority(t)
	port := freePort(t)
	server := postgrestest.StartServer(t, "listen_addresses=127.0.0.1", "port="+port)
	certificate, key := trusted.issue(t, server, "localhost")
	configure(t, server, "alter system set ssl_cert_file = '"+certificate+"'", "alter system set ssl_key_file = '"+key+"'",
		"alter system set ssl = on")
	dsn := func(host string, root *authority) string {
		query := url.Values{"sslmode": {"verify-full"}, "sslrootcert": {root.file}}
		return "postgres://postgres@" + net.JoinHostPort(host, port) + "/postgres?" + query.Encode()
	}

	db, err := Open(t.Context(), Config{ConnString: dsn("localhost", trusted)})
	if err != nil {
		t.Fatal(err)
	}
	var plain int
	err = db.pool.QueryRow(t.Context(), `select count(*) from pg_stat_ssl join pg_stat_activity using (pid)
		where application_name = 'platform-storage' and not ssl`).Scan(&plain)
	if err != nil || plain > 0 {
		t.Errorf("%d connections without TLS, error %v", plain, err)
	}
	db.Close()

	for _, test := range []struct{ name, dsn, want string }{
		{"an authority that is not trusted", dsn("localhost", stranger), "unknown authority"},
		{"another name", dsn("127.0.0.1", trusted), "doesn't contain any IP SANs"},
	} {
		t.Run(test.name, func(t *testing.T) { refuses(t, test.dsn, test.want) })
	}
	t.Run("a server without TLS", func(t *testing.T) {
		configure(t, server, "alter system set ssl = off")
		refuses(t, dsn("localhost", trusted), "server refused TLS connection")
	})
}

func refuses(t *testing.T, dsn, want string) {
	t.Helper()
	db, err := Open(t.Context(), Config{ConnString: dsn})
	if err == nil {
		db.Close()
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// configure changes settings of a server.
func configure(t *testing.T, server *postgrestest.Server, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
}

// authority is an authority that issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string // the certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "ca.crt")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

// issue writes a certificate for a name, and its key, where a server can read them.
func (a *authority) issue(t *testing.T, server *postgrestest.Server, name string) (certificate, key string) {
	t.Helper()
	private := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.certificate, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := server.SocketDir() // belongs to whom the server runs as
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	certificate, key = filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	for file, block := range map[string]struct {
		kind string
		der  []byte
	}{certificate: {"CERTIFICATE", der}, key: {"EC PRIVATE KEY", encoded}} {
		writePEM(t, file, block.kind, block.der)
		if err := os.Chown(file, int(owner.Uid), int(owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
