package conformance

import (
	"bytes"
	"context"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// restriction is a word of its own in each dump.
var restriction = regexp.MustCompile(`(?m)^\\(un)?restrict .*$`)

// dumpPostgres returns all that a database holds.
func dumpPostgres(ctx context.Context, dsn string) ([]byte, error) {
	dump, err := command("pg_dump --dbname='" + dsn + "'")(ctx)
	return restriction.ReplaceAll(dump, nil), err
}

// compactPostgres makes the platform's API server forget all revisions but the last.
func compactPostgres(ctx context.Context, dsn string) error {
	connection, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close(ctx) }()
	_, err = connection.Exec(ctx, "update meta set compact_rev = rev")
	return err
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
