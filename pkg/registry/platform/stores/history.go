package stores

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/registry/platform/table"
	"platform.dev/stores/pkg/storage/history"
)

// maxRevisions bounds one answer: behind each revision is a whole store.
const maxRevisions = 100

// HistoryREST serves stores/history: the past of the store that has the name now or
// had it last, and what had the name at a moment.
type HistoryREST struct {
	stores *REST
	past   history.Reader
	scheme *runtime.Scheme
}

var (
	_ rest.GetterWithOptions = &HistoryREST{}
	_ rest.TableConvertor    = &HistoryREST{}
)

// NewHistoryREST returns the REST storage of stores/history, which past remembers.
func NewHistoryREST(stores *REST, past history.Reader, scheme *runtime.Scheme) *HistoryREST {
	return &HistoryREST{stores, past, scheme}
}

// New returns an empty history.
func (*HistoryREST) New() runtime.Object { return &platform.StoreHistory{} }

// Destroy does nothing: the storage belongs to REST.
func (*HistoryREST) Destroy() {}

// NewGetOptions returns the options of a request.
func (*HistoryREST) NewGetOptions() (runtime.Object, bool, string) {
	return &platform.StoreHistoryOptions{}, false, ""
}

// Get returns a part of the store's history or, if a time or a revision is asked
// for, the store as it was.
func (r *HistoryREST) Get(ctx context.Context, name string, opts runtime.Object) (runtime.Object, error) {
	options := opts.(*platform.StoreHistoryOptions)
	if err := checkOptions(options); err != nil {
		return nil, err
	}
	key, err := r.stores.KeyFunc(ctx, name)
	if err != nil {
		return nil, err
	}
	switch {
	case options.At != "":
		moment, err := momentOf(options.At)
		if err != nil {
			return nil, err
		}
		revision, err := moment.of(ctx, r.past, key)
		if err != nil {
			return nil, explainPast(err, name, "at "+options.At)
		}
		return revision.Object, nil
	case options.ResourceVersion != "":
		revision, err := revisionOf(ctx, r.past, key, name, options.ResourceVersion)
		if err != nil {
			return nil, err
		}
		return revision.Object, nil
	}
	return r.page(ctx, key, name, options)
}

func checkOptions(o *platform.StoreHistoryOptions) error {
	switch {
	case o.At != "" && o.ResourceVersion != "":
		return apierrors.NewBadRequest("at and resourceVersion must not be given together: leave one of them out")
	case (o.At != "" || o.ResourceVersion != "") && (o.Limit != 0 || o.Continue != ""):
		return apierrors.NewBadRequest("limit and continue must not be given with at or resourceVersion: they are for the list of revisions, leave them out")
	case o.Limit < 0 || o.Limit > maxRevisions:
		return apierrors.NewBadRequest(fmt.Sprintf("limit %d must be from 1 to %d", o.Limit, maxRevisions))
	}
	return nil
}

// page lists revisions. One more than asked for is read: the oldest can only be
// compared with the one before it.
func (r *HistoryREST) page(ctx context.Context, key, name string, options *platform.StoreHistoryOptions) (runtime.Object, error) {
	var from int64
	if options.Continue != "" {
		var err error
		if from, err = strconv.ParseInt(options.Continue, 10, 64); err != nil || from <= 0 {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("continue %q must be the metadata.continue of an earlier answer", options.Continue))
		}
	}
	limit := maxRevisions
	if options.Limit > 0 {
		limit = int(options.Limit)
	}
	revisions, err := r.past.List(ctx, key, from, limit+1)
	if err != nil {
		return nil, explainPast(err, name, "before revision "+options.Continue)
	}
	page := &platform.StoreHistory{Items: []platform.StoreRevision{}}
	for i := range revisions {
		if i == limit {
			page.ListMeta.Continue = strconv.FormatInt(revisions[i].ResourceVersion, 10)
			break
		}
		var before *history.Revision
		if i+1 < len(revisions) {
			before = &revisions[i+1]
		}
		item, err := r.item(&revisions[i], before)
		if err != nil {
			return nil, err
		}
		page.Items = append(page.Items, item)
	}
	return page, nil
}

// item tells what a revision changed. Without the one before, which may no longer
// be kept, only a creation can tell.
func (r *HistoryREST) item(revision, before *history.Revision) (platform.StoreRevision, error) {
	item := platform.StoreRevision{
		ResourceVersion: strconv.FormatInt(revision.ResourceVersion, 10),
		Time:            metav1.NewMicroTime(revision.Time),
		Verb:            string(revision.Verb),
		User:            revision.User,
		AuditID:         revision.AuditID,
		SourceIPs:       revision.Source,
	}
	store, ok := revision.Object.(*platform.Store)
	if !ok { // it was deleted
		if before != nil {
			item.Generation = before.Object.(*platform.Store).Generation
		}
		return item, nil
	}
	item.Generation = store.Generation
	if before == nil && revision.Verb != history.Create {
		return item, nil
	}
	var was map[string]any
	old := &platform.Store{}
	if before != nil {
		old = before.Object.(*platform.Store)
		if old.DeletionTimestamp == nil && store.DeletionTimestamp != nil {
			item.Verb = string(history.Delete)
		}
		var err error
		if was, err = viewOf(r.scheme, old); err != nil {
			return item, err
		}
	}
	item.Manager = managerOf(old, store)
	is, err := viewOf(r.scheme, store)
	if err != nil {
		return item, err
	}
	item.Changes = changes(was, is)
	return item, nil
}

// managerOf names who made a store of old, by the entry of managedFields that is new. A
// write takes fields from the entries of others too, which keep their times: an entry
// that has another time than before, or was not there, is the writer's. Times are whole
// seconds, so of those that differ in their fields alone the newest counts.
func managerOf(old, store *platform.Store) string {
	var latest metav1.ManagedFieldsEntry
	for _, entry := range store.ManagedFields {
		isSame := func(other metav1.ManagedFieldsEntry) bool { return reflect.DeepEqual(entry, other) }
		if slices.ContainsFunc(old.ManagedFields, isSame) {
			continue
		}
		isOfThen := func(other metav1.ManagedFieldsEntry) bool {
			return entry.Manager == other.Manager && entry.Operation == other.Operation &&
				entry.Subresource == other.Subresource && entry.Time.Equal(other.Time)
		}
		if !slices.ContainsFunc(old.ManagedFields, isOfThen) {
			return entry.Manager
		}
		if latest.Time.Before(entry.Time) || latest.Manager == "" {
			latest = entry
		}
	}
	return latest.Manager
}

// historyColumns are what `kubectl get store NAME --subresource=history` prints.
var historyColumns = []metav1.TableColumnDefinition{
	{Name: "Revision", Type: "string", Format: "name", Description: "The resourceVersion that the write gave the store."},
	{Name: "Age", Type: "string", Description: "The time since the write."},
	{Name: "User", Type: "string", Description: "Who wrote."},
	{Name: "Verb", Type: "string", Description: "What was done."},
	{Name: "Generation", Type: "integer", Description: "The count of changes of spec."},
	{Name: "Changes", Type: "string", Description: "The fields that changed."},
	{Name: "Manager", Type: "string", Priority: 1, Description: "What program, or what kind of write, it was made by."},
	{Name: "Source", Type: "string", Priority: 1, Description: "The addresses that the request passed."},
	{Name: "Audit-ID", Type: "string", Priority: 1, Description: "What the audit logs of the cluster call the request."},
}

// ConvertToTable renders a history, and a past store as the main resource does.
func (r *HistoryREST) ConvertToTable(ctx context.Context, obj, tableOptions runtime.Object) (*metav1.Table, error) {
	page, ok := obj.(*platform.StoreHistory)
	if !ok {
		return r.stores.ConvertToTable(ctx, obj, tableOptions)
	}
	rendered := &metav1.Table{ListMeta: page.ListMeta}
	if options, ok := tableOptions.(*metav1.TableOptions); !ok || !options.NoHeaders {
		rendered.ColumnDefinitions = historyColumns
	}
	for _, item := range page.Items {
		rendered.Rows = append(rendered.Rows, metav1.TableRow{
			Cells: []any{item.ResourceVersion, table.Age(metav1.Time(item.Time)), item.User, item.Verb, item.Generation, paths(item.Changes), item.Manager, strings.Join(item.SourceIPs, ","), item.AuditID},
			// A row needs an object with metadata.
			Object: runtime.RawExtension{Object: &platform.Store{ObjectMeta: metav1.ObjectMeta{Name: item.ResourceVersion}}},
		})
	}
	return rendered, nil
}

// paths names the first few of the changes.
func paths(all []platform.FieldChange) string {
	const shown = 3
	var names []string
	for i, change := range all {
		if i == shown {
			names = append(names, fmt.Sprintf("and %d more", len(all)-shown))
			break
		}
		names = append(names, change.Path)
	}
	return strings.Join(names, ", ")
}
