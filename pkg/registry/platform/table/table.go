// Package table renders objects as the tables that kubectl prints.
package table

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Convertor renders one kind of object, or a list of it.
type Convertor struct {
	// Columns are the table's columns.
	Columns []metav1.TableColumnDefinition
	// Cells returns an object's row, with a cell for every column.
	Cells func(runtime.Object) []any
}

var _ rest.TableConvertor = Convertor{}

// ConvertToTable renders obj. A list hands its resourceVersion and its paging
// on to the table, so that clients can watch and continue from it.
func (c Convertor) ConvertToTable(_ context.Context, obj, tableOptions runtime.Object) (*metav1.Table, error) {
	var table metav1.Table
	if options, ok := tableOptions.(*metav1.TableOptions); !ok || !options.NoHeaders {
		table.ColumnDefinitions = c.Columns
	}
	if meta.IsListType(obj) {
		list, err := meta.ListAccessor(obj)
		if err != nil {
			return nil, err
		}
		table.ResourceVersion = list.GetResourceVersion()
		table.Continue = list.GetContinue()
		table.RemainingItemCount = list.GetRemainingItemCount()
		return &table, meta.EachListItem(obj, func(item runtime.Object) error {
			table.Rows = append(table.Rows, c.row(item))
			return nil
		})
	}
	object, err := meta.Accessor(obj)
	if err != nil {
		return nil, err
	}
	table.ResourceVersion = object.GetResourceVersion()
	table.Rows = []metav1.TableRow{c.row(obj)}
	return &table, nil
}

func (c Convertor) row(obj runtime.Object) metav1.TableRow {
	return metav1.TableRow{Cells: c.Cells(obj), Object: runtime.RawExtension{Object: obj}}
}

// Age renders the time since t as kubectl does, such as "5d".
func Age(t metav1.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(time.Since(t.Time))
}
