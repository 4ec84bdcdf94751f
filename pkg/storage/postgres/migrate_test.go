package postgres

import (
	"context"
	"errors"
	"sync"
	"testing"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

func TestOpenTwiceKeepsData(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	first := newFixtureAt(t, dsn)
	created := createPod(t, first.Storage, "kept")
	first.db.Close()

	second := newFixtureAt(t, dsn)
	if got := getPod(t, second.Storage, "kept"); got.ResourceVersion != created.ResourceVersion {
		t.Errorf("resource version %s after opening again, want %s", got.ResourceVersion, created.ResourceVersion)
	}
}

func TestOpenConcurrently(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	const replicas = 5
	databases := make([]*Database, replicas)
	errs := make([]error, replicas)
	var all sync.WaitGroup
	for i := range replicas {
		all.Go(func() { databases[i], errs[i] = Open(t.Context(), Config{ConnString: dsn}) })
	}
	all.Wait()
	for i, db := range databases {
		if errs[i] != nil {
			t.Errorf("replica %d: %v", i, errs[i])
			continue
		}
		t.Cleanup(db.Close)
		var applied int
		if err := db.pool.QueryRow(t.Context(), "select count(*) from schema_migrations").Scan(&applied); err != nil {
			t.Fatal(err)
		}
		migrations, err := loadMigrations()
		if err != nil {
			t.Fatal(err)
		}
		if applied != len(migrations) {
			t.Errorf("%d migrations recorded, want %d", applied, len(migrations))
		}
	}
}

func TestOpenRefusesNewerSchema(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if _, err := f.db.pool.Exec(t.Context(), "insert into schema_migrations values (1000, 'future')"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{ConnString: f.dsn}); !errors.Is(err, ErrSchemaTooNew) {
		t.Errorf("error %v, want %v", err, ErrSchemaTooNew)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]string{
		"not a connection string": "postgres://%zz",
		"nobody listens":          "postgres://postgres@127.0.0.1:1/postgres",
		"no such database":        postgrestest.New(t) + "&database=missing",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if db, err := Open(t.Context(), Config{ConnString: dsn}); err == nil {
				db.Close()
				t.Error("opened")
			}
		})
	}
}

func TestCloseTwice(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.db.Close()
	f.db.Close()
	if err := f.db.Ping(context.Background()); err == nil {
		t.Error("a closed database answers")
	}
}
