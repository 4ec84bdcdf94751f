package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/util/wait"
)

// restriction is a word of its own in each dump.
var restriction = regexp.MustCompile(`(?m)^\\(un)?restrict .*$`)

// dumpPostgres returns all that a database holds.
func dumpPostgres(ctx context.Context, dsn string) ([]byte, error) {
	dump, err := command("pg_dump --dbname='" + dsn + "'")(ctx)
	return restriction.ReplaceAll(dump, nil), err
}

// compactPostgres makes the platform's API server forget all revisions but the last, and
// the history of what was before.
func compactPostgres(ctx context.Context, dsn string) error {
	connection, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close(ctx) }()
	for _, statement := range []string{
		"update meta set compact_rev = rev",
		"select prepare_log_cut(compact_rev) from meta",
		"select copy_log_base(1000000)", "select copy_log_base(1000000)", // and finds nothing more
		"select copy_log_rest(1000000)",
	} {
		if _, err := connection.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	// The last step waits for no lock.
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		_, err := connection.Exec(ctx, "select make_log_cut(cut) from log_copy")
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == "55P03" { // lock_not_available
			return false, nil
		}
		return true, err
	})
}

// dumpEtcd returns all that an etcd holds, with every revision.
func dumpEtcd(ctx context.Context, endpoint string) ([]byte, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }()
	all, err := client.Get(ctx, "", clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	var dump bytes.Buffer
	for _, kv := range all.Kvs {
		// The library keeps the time of a request for compaction here.
		if string(kv.Key) == "compact_rev_key" {
			continue
		}
		fmt.Fprintf(&dump, "%s %d %d %x\n", kv.Key, kv.CreateRevision, kv.ModRevision, kv.Value)
	}
	return dump.Bytes(), nil
}

// compactEtcd makes an etcd forget all revisions but the last.
func compactEtcd(ctx context.Context, endpoint string) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	now, err := client.Get(ctx, "none")
	if err != nil {
		return err
	}
	_, err = client.Compact(ctx, now.Header.Revision)
	return err
}
