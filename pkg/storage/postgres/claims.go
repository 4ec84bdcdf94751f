package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/runtime"

	"platform.dev/stores/pkg/storage/claims"
)

var _ claims.Ledger = (*Database)(nil)

// maxClaimBytes keeps a name and a key together inside one index entry.
const maxClaimBytes = 512

// holding returns what the object of a state holds: nothing if there is none.
func (s *Storage) holding(st *state) claims.Holding {
	if s.resource.Claims == nil || st.rev == 0 {
		return claims.Holding{}
	}
	return s.resource.Claims.Holding(st.obj)
}

// claimsOf returns what becomes of claims when obj is written, nil if nothing does.
func (s *Storage) claimsOf(ctx context.Context, before claims.Holding, obj runtime.Object, isNew bool) (*claims.Change, error) {
	if s.resource.Claims == nil {
		return nil, nil
	}
	change, err := s.resource.Claims.Change(ctx, before, obj, isNew)
	if err != nil || change.Empty() {
		return nil, err
	}
	return &change, nil
}

// claimsParameter is a change of claims the way statements take it.
type claimsParameter struct {
	Drop    []string         `json:"drop,omitempty"`
	Unique  []string         `json:"unique,omitempty"`
	Counted []string         `json:"counted,omitempty"`
	Limits  []limitParameter `json:"limits,omitempty"`
	Rates   []rateParameter  `json:"rates,omitempty"`
}

type limitParameter struct {
	Name string `json:"name"`
	Max  int64  `json:"max"`
}

type rateParameter struct {
	Name    string  `json:"name"`
	Count   int64   `json:"count"`
	Seconds float64 `json:"seconds"`
}

func parameterOf(c *claims.Change) *claimsParameter {
	if c == nil {
		return nil
	}
	p := &claimsParameter{
		Drop:    append(claimNames(c.Drop.Unique), claimNames(c.Drop.Counted)...),
		Unique:  claimNames(c.Take.Unique),
		Counted: claimNames(c.Take.Counted),
	}
	for _, limit := range c.Counts {
		p.Limits = append(p.Limits, limitParameter{claimName(limit.Name), limit.Max})
	}
	for _, rate := range c.Rates {
		p.Rates = append(p.Rates, rateParameter{claimName(rate.Name), rate.Count, rate.Window.Seconds()})
	}
	return p
}

// claimName is how a name is stored: a text column and its index cannot hold all.
func claimName(name string) string {
	if len(name) <= maxClaimBytes && utf8.ValidString(name) && !strings.Contains(name, "\x00") {
		return name
	}
	digest := sha256.Sum256([]byte(name))
	return "sha256:" + hex.EncodeToString(digest[:])
}

func claimNames(names []string) []string {
	stored := make([]string, len(names))
	for i, name := range names {
		stored[i] = claimName(name)
	}
	return stored
}

// refusal is why the database refused claims. Ord counts from 1 in the part concerned.
type refusal struct {
	Why  string    `json:"why"`
	Ord  int       `json:"ord"`
	Used int64     `json:"used"`
	Next time.Time `json:"next"`
	Wait float64   `json:"wait"` // seconds
}

// of returns the refusal of c as an error.
func (r *refusal) of(c *claims.Change) error {
	switch r.Why {
	case "taken":
		return &claims.TakenError{Name: c.Take.Unique[r.Ord-1]}
	case "exceeded":
		return &claims.ExceededError{Limit: c.Counts[r.Ord-1], Used: r.Used}
	default:
		wait := time.Duration(r.Wait * float64(time.Second))
		return &claims.RateError{Rate: c.Rates[r.Ord-1], Used: r.Used, Next: r.Next, Wait: wait}
	}
}

// Check implements claims.Ledger.
func (d *Database) Check(ctx context.Context, change claims.Change) error {
	var reason *refusal
	if err := d.pool.QueryRow(ctx, checkClaimsQuery, parameterOf(&change)).Scan(&reason); err != nil {
		return translate(ctx, "checking", "claims", err)
	}
	if reason == nil {
		return nil
	}
	return reason.of(&change)
}

// Count implements claims.Ledger.
func (d *Database) Count(ctx context.Context, names ...string) (map[string]int64, error) {
	original := make(map[string]string, len(names))
	for _, name := range names {
		original[claimName(name)] = name
	}
	counts := make(map[string]int64, len(names))
	rows, err := d.pool.Query(ctx, countClaimsQuery, claimNames(names))
	if err != nil {
		return nil, translate(ctx, "counting", "claims", err)
	}
	var (
		name  string
		count int64
	)
	if _, err := pgx.ForEachRow(rows, []any{&name, &count}, func() error {
		counts[original[name]] = count
		return nil
	}); err != nil {
		return nil, translate(ctx, "counting", "claims", err)
	}
	return counts, nil
}

// Spent implements claims.Ledger.
func (d *Database) Spent(ctx context.Context, rate claims.Rate) (int64, error) {
	var spent int64
	if err := d.pool.QueryRow(ctx, spentClaimsQuery, claimName(rate.Name), rate.Window.Seconds()).Scan(&spent); err != nil {
		return 0, translate(ctx, "counting", "claims", fmt.Errorf("rate %q: %w", rate.Name, err))
	}
	return spent, nil
}
