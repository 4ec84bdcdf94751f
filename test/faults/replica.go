package faults

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/storage/postgres"
)

// performer makes calls: a database in this process, or a worker.
type performer interface {
	perform(ctx context.Context, r request) result
}

// replica is one of the programs that share the database, in this process.
type replica struct {
	number int
	proxy  *proxy
	db     *postgres.Database
	storage.Interface
}

func (r *replica) perform(ctx context.Context, req request) result {
	return perform(ctx, r.Interface, req)
}

// settings differ from one replica to the next, so that all are tried.
func settings(number int) (postgres.Config, url.Values) {
	config := postgres.Config{
		ProgressInterval:   time.Second,
		CompactionInterval: time.Hour, // the nemesis compacts
	}
	parameters := url.Values{}
	switch number % 3 {
	case 1: // more calls than connections
		config.MaxConns = 4
	case 2: // gives up early
		parameters.Set("statement_timeout", "700")
		parameters.Set("lock_timeout", "300")
	}
	return config, parameters
}

// openTimeout is how long a server may take to come up.
const openTimeout = time.Minute

func openReplica(ctx context.Context, number int, socketDir string) (*replica, error) {
	p, err := newProxy(socketDir)
	if err != nil {
		return nil, err
	}
	config, parameters := settings(number)
	config.ConnString = p.dsn(parameters)
	db, err := open(ctx, config)
	if err != nil {
		p.close()
		return nil, fmt.Errorf("opening replica %d: %w", number, err)
	}
	s, err := podStorage(db)
	if err != nil {
		db.Close()
		p.close()
		return nil, err
	}
	return &replica{number: number, proxy: p, db: db, Interface: s}, nil
}

// open waits for the server, as whoever starts a replica does.
func open(ctx context.Context, config postgres.Config) (db *postgres.Database, err error) {
	var last error
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, openTimeout, true,
		func(ctx context.Context) (bool, error) {
			db, last = postgres.Open(ctx, config)
			return last == nil, nil
		})
	return db, errors.Join(err, last)
}

func (r *replica) close() {
	r.db.Close()
	r.proxy.close()
}
