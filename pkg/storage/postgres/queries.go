package postgres

import _ "embed"

// The statements, each described in its file.
var (
	//go:embed queries/absent.sql
	absentQuery string
	//go:embed queries/advance.sql
	advanceQuery string
	//go:embed queries/apply_batch.sql
	applyBatchQuery string
	//go:embed queries/claims.sql
	claimsQuery string
	//go:embed queries/compact.sql
	compactQuery string
	//go:embed queries/create.sql
	createQuery string
	//go:embed queries/delete.sql
	deleteQuery string
	//go:embed queries/end_session.sql
	endSessionQuery string
	//go:embed queries/expired.sql
	expiredQuery string
	//go:embed queries/find_batch.sql
	findBatchQuery string
	//go:embed queries/get.sql
	getQuery string
	//go:embed queries/grant.sql
	grantScript string
	//go:embed queries/history.sql
	historyQuery string
	//go:embed queries/list.sql
	listQuery string
	//go:embed queries/list_at.sql
	listAtQuery string
	//go:embed queries/log_holders.sql
	logHoldersQuery string
	//go:embed queries/notify.sql
	notifyQuery string
	//go:embed queries/object_at.sql
	objectAtQuery string
	//go:embed queries/open_session.sql
	openSessionQuery string
	//go:embed queries/range.sql
	rangeQuery string
	//go:embed queries/revision.sql
	revisionQuery string
	//go:embed queries/revisions.sql
	revisionsQuery string
	//go:embed queries/state_at.sql
	stateAtQuery string
	//go:embed queries/stats.sql
	statsQuery string
	//go:embed queries/tail.sql
	tailQuery string
	//go:embed queries/update.sql
	updateQuery string
	//go:embed queries/value.sql
	valueQuery string
	//go:embed queries/values.sql
	valuesQuery string
)

// partitionsQuery keeps partitions of the log ready ahead of the counter.
const partitionsQuery = "select ensure_log_partitions()"

// The statements of retention that need no file.
const (
	lockRetentionQuery   = "select pg_try_advisory_lock(hashtext(current_schema() || '.retention'))"
	unlockRetentionQuery = "select pg_advisory_unlock(hashtext(current_schema() || '.retention'))"
	logSizeQuery         = "select coalesce(sum(pg_total_relation_size(part)), 0)::bigint, log_complete_from() from log_partitions()"
	logCutQuery          = "select log_cut($1, $2)"
	prepareCutQuery      = "select prepare_log_cut($1)"
	copyBaseQuery        = "select copy_log_base($1)"
	copyRestQuery        = "select copy_log_rest($1)"
	makeCutQuery         = "select make_log_cut($1)"
	revisionAtQuery      = "select revision_at($1)"
)

// The statements about claims that need no file.
const (
	checkClaimsQuery   = "select refuse_claims('', $1)"
	countClaimsQuery   = "select name, count(*) from claim where name = any ($1) group by name"
	spentClaimsQuery   = "select count(*) from claim_rate where name = $1 and at > clock_timestamp() - $2::float8 * interval '1 second'"
	forgetRatesQuery   = "delete from claim_rate where until <= clock_timestamp()"
	restoreClaimsQuery = "select restore_claims($1, $2, $3, $4)"
	claimScanQuery     = "select coalesce((select rev from claim_scan where prefix = $1), 0)"
	claimScannedQuery  = `insert into claim_scan (prefix, rev) values ($1, $2)
		on conflict (prefix) do update set rev = greatest(claim_scan.rev, excluded.rev)`
)
