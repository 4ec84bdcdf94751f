package integration

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/storage/postgres/postgrestest"
	"platform.dev/stores/test/internal/harness"
)

// A server with an EncryptionConfiguration keeps stores, and what they once were, where
// nobody can read them who has the database alone.
func TestStoresAreEncryptedAtRest(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "encryption.yaml")
	if err := os.WriteFile(file, []byte(`
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [stores.platform.dev]
  providers: [{secretbox: {keys: [{name: one, secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}]}}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	dsn := postgrestest.NewSchema(t, env.Database())
	server := env.StartServer(t, dsn, "--encryption-provider-config="+file)
	namespace, client := env.NewNamespace(t), harness.Platform(t, server.As(env.Admin()))
	store := newStore("flowers", createEngine(t, client))
	store.Spec.DisplayName = "Confidential Flowers"
	created, err := client.Stores(namespace).Create(t.Context(), store, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	created.Spec.DisplayName = "Open Flowers"
	if _, err := client.Stores(namespace).Update(t.Context(), created, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}

	history := &v1alpha1.StoreHistory{}
	if err := askHistory(t, server.As(env.Admin()), namespace, "flowers", "limit=10", history); err != nil {
		t.Fatal(err)
	}
	if len(history.Items) != 2 {
		t.Errorf("%d revisions in the history, want 2", len(history.Items))
	}
	for _, value := range storedValues(t, dsn) {
		if !bytes.HasPrefix(value, []byte("k8s:enc:secretbox:v1:one:")) || bytes.Contains(value, []byte("Flowers")) {
			t.Errorf("stored %.100q", value)
		}
	}
}

// storedValues are all that the database holds of stores.
func storedValues(t *testing.T, dsn string) [][]byte {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	rows, err := conn.Query(t.Context(), "select value from log where key like '/platform.dev/stores/%'")
	if err != nil {
		t.Fatal(err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatal(err)
	}
	if len(values) != 2 {
		t.Errorf("%d values are stored, want 2", len(values))
	}
	return values
}
