package postgres

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

func newTracedFixture(t *testing.T) (*fixture, *tracetest.SpanRecorder, trace.Tracer) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	dsn, queries := postgrestest.New(t), &listCounter{}
	db, err := Open(t.Context(), Config{ConnString: dsn, Tracer: queries, TracerProvider: provider})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return &fixture{Storage: newPodStorage(t, db), dsn: dsn, queries: queries}, recorder, provider.Tracer("test")
}

// find returns the ended spans of a name, which must exist.
func find(t *testing.T, recorder *tracetest.SpanRecorder, name string) []sdktrace.ReadOnlySpan {
	t.Helper()
	found := slices.DeleteFunc(recorder.Ended(), func(s sdktrace.ReadOnlySpan) bool { return s.Name() != name })
	if len(found) == 0 {
		t.Fatalf("no span %q", name)
	}
	return found
}

// A write is seen in the trace of its request, down to its statements.
func TestTraceOfAWrite(t *testing.T) {
	t.Parallel()
	f, recorder, tracer := newTracedFixture(t)
	ctx, request := tracer.Start(t.Context(), "request")
	if err := f.Create(ctx, podKey("shop"), newPod("shop"), nil, 0); err != nil {
		t.Fatal(err)
	}
	request.End()

	find(t, recorder, "commit") // may be of another write
	var path []string
	for _, name := range []string{"postgres create", "postgres batch", "commit"} {
		for _, span := range find(t, recorder, name) {
			if span.SpanContext().TraceID() == request.SpanContext().TraceID() {
				path = append(path, name)
			}
		}
	}
	if got := strings.Join(path, " < "); got != "postgres create < postgres batch < commit" {
		t.Errorf("in the trace of the request: %s", got)
	}
}

// Writes of other requests in one commit are linked to it.
func TestTraceOfAGroup(t *testing.T) {
	t.Parallel()
	f, recorder, tracer := newTracedFixture(t)
	var writes []*write
	for i := range 3 {
		ctx, span := tracer.Start(t.Context(), "request")
		defer span.End()
		writes = append(writes, &write{kind: created, key: podKey(fmt.Sprint(i)), value: []byte("x"), ctx: ctx})
	}
	if _, err := f.db.attempt(t.Context(), writes); err != nil {
		t.Fatal(err)
	}
	commit := find(t, recorder, "commit")[0]
	if commit.Parent().SpanID() != trace.SpanContextFromContext(writes[0].ctx).SpanID() {
		t.Error("the commit is not part of the first request")
	}
	for i, link := range commit.Links() {
		if link.SpanContext.SpanID() != trace.SpanContextFromContext(writes[i+1].ctx).SpanID() {
			t.Errorf("link %d leads elsewhere", i)
		}
	}
	if len(commit.Links()) != 2 {
		t.Errorf("%d links, want 2", len(commit.Links()))
	}
}

// No span tells what is stored, and every statement has a name.
func TestTracesShowNoValues(t *testing.T) {
	t.Parallel()
	f, recorder, _ := newTracedFixture(t)
	recorder.Reset() // what sets up the schema has no names
	const secret = "s3cret"
	f.churn(t, rand.New(rand.NewPCG(4, 4)), 30)
	createPod(t, f.Storage, secret)
	if err := f.Create(t.Context(), podKey(secret), newPod(secret), nil, 0); !storage.IsExist(err) {
		t.Fatalf("created twice: %v", err)
	}
	if _, err := f.db.pool.Exec(t.Context(), "select cast($1::text as int)", secret); err == nil {
		t.Fatal("the text is a number")
	}
	if _, err := pastOf(f).State(t.Context(), "/pods", 20); err != nil {
		t.Fatal(err)
	}
	f.cut(t, 10)
	if err := f.db.cutLog(t.Context()); err != nil {
		t.Fatal(err)
	}
	others := 0
	for _, span := range recorder.Ended() {
		if span.Name() == "postgres other" {
			others++ // the one above, and what listens
		}
		shown := span.Name() + span.Status().Description
		for _, attribute := range span.Attributes() {
			shown += " " + attribute.Value.String()
		}
		for _, event := range span.Events() {
			shown += fmt.Sprint(event)
		}
		if strings.Contains(shown, secret) || strings.Contains(shown, "pods") {
			t.Errorf("span shows %q", shown)
		}
	}
	if find(t, recorder, "postgres copy_log_base"); others > 2 {
		t.Errorf("%d statements have no name", others)
	}
}
