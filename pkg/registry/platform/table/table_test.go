package table

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"platform.dev/stores/pkg/apis/platform"
)

var convertor = Convertor{
	Columns: []metav1.TableColumnDefinition{{Name: "Name", Type: "string"}},
	Cells:   func(obj runtime.Object) []any { return []any{obj.(*platform.Store).Name} },
}

func newStore(name string) platform.Store {
	return platform.Store{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "7"}}
}

func TestConvertToTable(t *testing.T) {
	t.Parallel()
	remaining := int64(3)
	one := newStore("a")
	tests := []struct {
		name    string
		object  runtime.Object
		options runtime.Object
		want    metav1.Table
	}{
		{"object", &one, nil, metav1.Table{
			ListMeta:          metav1.ListMeta{ResourceVersion: "7"},
			ColumnDefinitions: convertor.Columns,
			Rows:              []metav1.TableRow{{Cells: []any{"a"}}},
		}},
		{"list", &platform.StoreList{
			ListMeta: metav1.ListMeta{ResourceVersion: "9", Continue: "token", RemainingItemCount: &remaining},
			Items:    []platform.Store{newStore("a"), newStore("b")},
		}, &metav1.TableOptions{}, metav1.Table{
			ListMeta:          metav1.ListMeta{ResourceVersion: "9", Continue: "token", RemainingItemCount: &remaining},
			ColumnDefinitions: convertor.Columns,
			Rows:              []metav1.TableRow{{Cells: []any{"a"}}, {Cells: []any{"b"}}},
		}},
		{"later event of a watch", &one, &metav1.TableOptions{NoHeaders: true}, metav1.Table{
			ListMeta: metav1.ListMeta{ResourceVersion: "7"},
			Rows:     []metav1.TableRow{{Cells: []any{"a"}}},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := convertor.ConvertToTable(t.Context(), test.object, test.options)
			if err != nil {
				t.Fatal(err)
			}
			for i := range got.Rows {
				if got.Rows[i].Object.Object == nil {
					t.Errorf("row %d carries no object", i)
				}
				got.Rows[i].Object = runtime.RawExtension{}
			}
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		at   metav1.Time
		want string
	}{
		{metav1.Time{}, "<unknown>"},
		{metav1.NewTime(time.Now().Add(-30 * time.Hour)), "30h"},
	}
	for _, test := range tests {
		if got := Age(test.at); got != test.want {
			t.Errorf("age of %s is %q, want %q", test.at, got, test.want)
		}
	}
}
