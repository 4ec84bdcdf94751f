package faults

import (
	"hash/fnv"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/apitesting"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/storage"

	"platform.dev/stores/pkg/storage/postgres"
)

var (
	scheme = runtime.NewScheme()
	codecs = serializer.NewCodecFactory(scheme)
)

func init() {
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	utilruntime.Must(example.AddToScheme(scheme))
	utilruntime.Must(examplev1.AddToScheme(scheme))
}

// prefix is where all objects are. No one else writes to the database.
const prefix = "/pods/"

// Names of labels: the value, and whether selectors choose it.
const (
	valueLabel  = "value"
	chosenLabel = "chosen"
)

// chosen is the selector of the sessions that have one.
var chosen = storage.SelectionPredicate{
	Label: labels.SelectorFromSet(labels.Set{chosenLabel: "true"}),
	Field: fields.Everything(),
	GetAttrs: func(obj runtime.Object) (labels.Set, fields.Set, error) {
		return obj.(*example.Pod).Labels, nil, nil
	},
}

func podStorage(db *postgres.Database) (storage.Interface, error) {
	return db.NewStorage(postgres.Resource{
		GroupResource: schema.GroupResource{Resource: "pods"},
		Prefix:        prefix,
		Codec:         apitesting.TestCodec(codecs, examplev1.SchemeGroupVersion),
		NewFunc:       func() runtime.Object { return &example.Pod{} },
		NewListFunc:   func() runtime.Object { return &example.PodList{} },
	})
}

// newPod makes the one pod that holds a value under a key, "namespace/name".
func newPod(key, value string) *example.Pod {
	namespace, name, _ := strings.Cut(key, "/")
	return &example.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace:   namespace,
		Name:        name,
		Labels:      map[string]string{valueLabel: value, chosenLabel: strconv.FormatBool(isChosen(value))},
		Annotations: map[string]string{"padding": padding(value)},
	}}
}

// padding gives one value in sixteen more bytes than fit into a page of the database.
func padding(value string) string {
	if hash(value)%16 != 0 {
		return value
	}
	return strings.Repeat(value, 10_000/len(value))
}

func isChosen(value string) bool { return hash("chosen", value)%2 == 0 }

// item is one state of one object.
type item struct {
	Key   string
	Value string // empty if there is no object
	Rev   int64
}

// itemOf reads back what newPod made. whole is false if any part of the pod is not
// that of its value.
func itemOf(pod *example.Pod) (i item, whole bool) {
	i.Key = pod.Namespace + "/" + pod.Name
	i.Value = pod.Labels[valueLabel]
	i.Rev, _ = strconv.ParseInt(pod.ResourceVersion, 10, 64)
	return i, i.Rev > 0 && i.Value != "" && pod.Annotations["padding"] == padding(i.Value)
}

func (i item) hash() uint64 { return hash(i.Key, i.Value, strconv.FormatInt(i.Rev, 10)) }

// event is one change as watches tell it: of a deletion, the last value.
type event struct {
	kind watch.EventType
	item
}

func (e event) hash() uint64 { return hash(string(e.kind)) ^ e.item.hash() }

func hash(parts ...string) uint64 {
	h := fnv.New64a()
	for _, part := range parts {
		_, _ = h.Write([]byte(part)) // never fails
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64()
}
