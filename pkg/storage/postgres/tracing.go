package postgres

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

//go:embed queries/*.sql
var queryFiles embed.FS

// statementNames are how statements are called where they are observed: by their files.
var statementNames = func() map[string]string {
	names := map[string]string{
		partitionsQuery: "ensure_log_partitions", logCutQuery: "log_cut", prepareCutQuery: "prepare_log_cut",
		copyBaseQuery: "copy_log_base", copyRestQuery: "copy_log_rest", makeCutQuery: "make_log_cut",
		revisionAtQuery: "revision_at", lockRetentionQuery: "lock_retention", unlockRetentionQuery: "unlock_retention", logSizeQuery: "log_size",
		checkClaimsQuery: "refuse_claims", countClaimsQuery: "count_claims", spentClaimsQuery: "spent_claims", forgetRatesQuery: "forget_rates",
		restoreClaimsQuery: "restore_claims", claimScanQuery: "claim_scan", claimScannedQuery: "claim_scanned",
	}
	files, err := fs.Glob(queryFiles, "queries/*.sql")
	utilruntime.Must(err)
	for _, file := range files {
		sql, err := queryFiles.ReadFile(file)
		utilruntime.Must(err)
		names[string(sql)] = strings.TrimSuffix(strings.TrimPrefix(file, "queries/"), ".sql")
	}
	return names
}()

// statementName never shows a statement itself, which may hold values.
func statementName(sql string) string {
	if name, ok := statementNames[sql]; ok {
		return name
	}
	return "other"
}

var system = attribute.String("db.system.name", "postgresql")

// statementTracer makes a span of each statement, named after its file. Neither the
// statement nor its arguments are in it: they hold what users store.
type statementTracer struct{ tracer trace.Tracer }

var (
	_ pgx.QueryTracer = statementTracer{}
	_ pgx.BatchTracer = statementTracer{}
)

// tracer returns what makes the spans of this package, which nobody sees if no provider
// is configured.
func (c Config) tracer() trace.Tracer {
	provider := c.TracerProvider
	if provider == nil {
		provider = noop.NewTracerProvider()
	}
	return provider.Tracer("platform.dev/stores/pkg/storage/postgres")
}

// connTracer returns what a connection reports to, nil for nobody.
func (c Config) connTracer() pgx.QueryTracer {
	switch {
	case c.TracerProvider == nil:
		return c.Tracer
	case c.Tracer == nil:
		return statementTracer{c.tracer()}
	default:
		return multitracer.New(c.Tracer, statementTracer{c.tracer()})
	}
}

func (t statementTracer) start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	return t.tracer.Start(ctx, "postgres "+name, append(opts, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(system))...)
}

// end ends a span. Of an error it tells the server's code alone, as messages may show
// values.
func end(span trace.Span, tag pgconn.CommandTag, err error) {
	defer span.End()
	if err == nil {
		span.SetAttributes(attribute.Int64("db.response.returned_rows", tag.RowsAffected()))
		return
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		span.SetAttributes(attribute.String("db.response.status_code", pgErr.Code))
		span.SetStatus(codes.Error, "SQLSTATE "+pgErr.Code)
		return
	}
	span.SetStatus(codes.Error, cause(err))
}

// TraceQueryStart implements pgx.QueryTracer.
func (t statementTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	ctx, _ = t.start(ctx, statementName(data.SQL))
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (t statementTracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	end(trace.SpanFromContext(ctx), data.CommandTag, data.Err)
}

// TraceBatchStart implements pgx.BatchTracer.
func (t statementTracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	ctx, _ = t.start(ctx, "batch", trace.WithAttributes(attribute.Int("db.operation.batch.size", data.Batch.Len())))
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer. The statements of a batch are sent
// together: a span shows how long the answer to one was waited for after the last.
func (t statementTracer) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	_, span := t.start(ctx, statementName(data.SQL), trace.WithTimestamp(data.ReadStartTime))
	end(span, data.CommandTag, data.Err)
}

// TraceBatchEnd implements pgx.BatchTracer.
func (t statementTracer) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	end(trace.SpanFromContext(ctx), pgconn.CommandTag{}, data.Err)
}

// traceCommit begins the span of a group of writes. It belongs to the request of the
// first one and is linked to those of the others.
func (d *Database) traceCommit(ctx context.Context, writes []*write) (context.Context, trace.Span) {
	var links []trace.Link
	for i, w := range writes {
		request := trace.SpanContextFromContext(w.ctx)
		switch {
		case !request.IsValid():
		case i == 0:
			ctx = trace.ContextWithSpanContext(ctx, request)
		default:
			links = append(links, trace.Link{SpanContext: request})
		}
	}
	return d.tracer.Start(ctx, "commit", trace.WithLinks(links...), trace.WithAttributes(attribute.Int("writes", len(writes))))
}
