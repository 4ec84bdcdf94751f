package app

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"platform.dev/stores/pkg/storage/postgres"
)

// needed are the flags without which no server starts.
var needed = []string{
	"--postgres-dsn-file=/run/database/dsn",
	"--store-domain=shops.example.com",
	"--tls-cert-file=/run/certificate/tls.crt",
	"--tls-private-key-file=/run/certificate/tls.key",
}

func parse(t *testing.T, args ...string) (*Options, error) {
	t.Helper()
	o := NewOptions()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags := o.Flags()
	for _, set := range flags.FlagSets {
		fs.AddFlagSet(set)
	}
	return o, fs.Parse(args)
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name string
		args []string // after the needed ones, which they override
		want []string // parts of the error; none means valid
	}{
		{"needed only", nil, nil},
		{"self-signed", []string{"--tls-cert-file=", "--tls-private-key-file=", "--self-signed-certificate"}, nil},
		{"no certificate", []string{"--tls-cert-file=", "--tls-private-key-file="}, []string{"--tls-cert-file", "required"}},
		{"no domain", []string{"--store-domain="}, []string{"--store-domain"}},
		{"bad domain", []string{"--store-domain=https://example.com"}, []string{"--store-domain", "RFC 1123"}},
		{"stores at another port", []string{"--store-url-scheme=http", "--store-url-port=8080"}, nil},
		{"stores nowhere", []string{"--store-url-scheme=ftp", "--store-url-port=70000"}, []string{`--store-url-scheme="ftp"`, "--store-url-port=70000"}},
		{"no database", []string{"--postgres-dsn-file="}, []string{"--postgres-dsn-file is required"}},
		{"too few connections", []string{"--postgres-max-connections=3"}, []string{"--postgres-max-connections=3", "at least 4"}},
		{"no time to connect", []string{"--postgres-connect-timeout=0s"}, []string{"--postgres-connect-timeout=0s", "greater than 0"}},
		{"no quota", []string{"--default-stores-per-owner=0", "--default-create-rate=0"}, nil},
		{"negative quota", []string{"--default-stores-per-owner=-1", "--default-create-rate=-1"}, []string{"--default-stores-per-owner=-1", "--default-create-rate=-1"}},
		{"no window", []string{"--default-create-window=0s"}, []string{"--default-create-window=0s", "at least 1s"}},
		{"history bounded", []string{"--history-retention=720h", "--history-max-size=10Gi"}, nil},
		{"history too short", []string{"--history-retention=1m"}, []string{"--history-retention=1m0s", "at least 15m"}},
		{"history too small", []string{"--history-max-size=1Mi"}, []string{"--history-max-size=1Mi", "at least 64Mi"}},
		{"negative history", []string{"--history-retention=-1h", "--history-max-size=-1Gi"}, []string{"--history-retention=-1h", "--history-max-size=-1Gi"}},
		{"unknown admission plugin", []string{"--enable-admission-plugins=Nonsense"}, []string{"Nonsense"}},
		{"several faults", []string{"--store-domain=", "--postgres-dsn-file="}, []string{"--store-domain", "--postgres-dsn-file"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o, err := parse(t, slices.Concat(needed, test.args)...)
			if err != nil {
				t.Fatal(err)
			}
			err = o.Validate()
			if len(test.want) == 0 {
				if err != nil {
					t.Errorf("got %v, want no fault", err)
				}
				return
			}
			if err == nil {
				t.Fatal("got no error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is missing in %q", part, err)
				}
			}
		})
	}
}

// A database would be looked for in etcd's flags first.
func TestNoFlagsOfEtcd(t *testing.T) {
	if _, err := parse(t, "--etcd-servers=http://127.0.0.1:2379"); err == nil {
		t.Error("--etcd-servers was accepted")
	}
}

func TestOpenFailsAtOnceWithoutShowingThePassword(t *testing.T) {
	t.Parallel()
	const secret = "s3cret"
	tests := map[string]string{
		"empty":                  " \n",
		"port that is no number": "postgres://user:" + secret + "@localhost:port/db",
		"blank in the password":  "postgres://user:" + secret + " x@localhost/db",
		"percent in the URL":     "postgres://user:" + secret + "%zz@localhost/db",
		"quote left open":        "host=localhost password='" + secret,
		"unknown scheme":         "mysql://user:" + secret + "@localhost/db",
	}
	for name, dsn := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := NewPostgresOptions()
			o.DSNFile = filepath.Join(t.TempDir(), "dsn")
			if err := os.WriteFile(o.DSNFile, []byte(dsn), 0o600); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			_, err := o.Open(t.Context(), postgres.Config{})
			if err == nil {
				t.Fatal("got no error")
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the password: %v", err)
			}
			if took := time.Since(start); took > o.ConnectTimeout/10 {
				t.Errorf("it took %s to refuse", took)
			}
		})
	}
}

func TestOpenGivesUpOnADatabaseThatIsNotThere(t *testing.T) {
	t.Parallel()
	o := NewPostgresOptions()
	o.ConnectTimeout = 100 * time.Millisecond
	folder := t.TempDir()
	o.DSNFile = filepath.Join(folder, "dsn")
	if err := os.WriteFile(o.DSNFile, []byte("host="+folder+" user=nobody password=s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := o.Open(t.Context(), postgres.Config{})
	if err == nil || !strings.Contains(err.Error(), "waiting for PostgreSQL") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}
