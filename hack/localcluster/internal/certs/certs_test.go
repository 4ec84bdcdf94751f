package certs

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIssue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		request Request
		usage   x509.ExtKeyUsage
		refused x509.ExtKeyUsage
	}{
		{
			"client", Request{CommonName: "system:node:n", Organizations: []string{"system:nodes"}},
			x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth,
		},
		{
			"server", Request{CommonName: "kube-apiserver", Hosts: []string{"localhost", "10.96.0.1", "::1"}},
			x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			authority := newAuthority(t, "ca")
			pair, err := authority.Issue(test.request)
			if err != nil {
				t.Fatal(err)
			}
			certificate := parse(t, pair)
			if certificate.Subject.CommonName != test.request.CommonName {
				t.Errorf("common name %q", certificate.Subject.CommonName)
			}
			if diff := cmp.Diff(test.request.Organizations, certificate.Subject.Organization); diff != "" {
				t.Errorf("organizations (-want +got):\n%s", diff)
			}
			for _, host := range test.request.Hosts {
				if err := certificate.VerifyHostname(host); err != nil {
					t.Error(err)
				}
			}
			if err := verify(authority, certificate, test.usage); err != nil {
				t.Errorf("not good for its use: %v", err)
			}
			if verify(authority, certificate, test.refused) == nil {
				t.Error("good for a use nobody asked for")
			}
			if verify(newAuthority(t, "ca"), certificate, test.usage) == nil {
				t.Error("accepted by another authority of the same name")
			}
		})
	}
}

func TestWriteKeepsKeysPrivate(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	pair, err := newAuthority(t, "ca").Pair()
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Write(folder, "ca"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(folder, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("key has mode %o", info.Mode().Perm())
	}
}

func newAuthority(t *testing.T, name string) *Authority {
	t.Helper()
	authority, err := NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func parse(t *testing.T, pair Pair) *x509.Certificate {
	t.Helper()
	loaded, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return loaded.Leaf
}

func verify(authority *Authority, certificate *x509.Certificate, usage x509.ExtKeyUsage) error {
	roots := x509.NewCertPool()
	roots.AddCert(authority.certificate)
	_, err := certificate.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}})
	return err
}
