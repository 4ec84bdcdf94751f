package stores

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

const (
	// previewTimeout bounds how long a dry run waits for its preview.
	previewTimeout = 3 * time.Second
	// maxChanges and maxFields are the most objects and fields that a preview shows.
	maxChanges, maxFields = 100, 300
	// maxText is the most characters of a value that it shows.
	maxText = 200
	// hidden stands for what a Secret holds.
	hidden = "(hidden)"
)

// Shops tells what the shops of stores consist of.
type Shops interface {
	// Objects are those that a store of engine asks for, or which of its fields ask
	// for what cannot be. It takes no longer than ctx.
	Objects(ctx context.Context, engine *v1alpha1.Engine, store *v1alpha1.Store, upgrade bool) ([]map[string]any, field.ErrorList, error)
}

// previewer tells what changes of stores would do to their shops.
type previewer struct {
	scheme  *runtime.Scheme
	engines rest.Getter
	shops   Shops
}

// preview is what would become of the shop of a store that was old, which is nil for a
// new one, and becomes store. It is nil if the store asks for nothing else than before.
// What can be known to fail is an error; what cannot be told is not.
func (p *previewer) preview(ctx context.Context, old, store *platform.Store) (*platform.StorePreview, error) {
	if store.DeletionTimestamp != nil || old != nil && apiequality.Semantic.DeepEqual(old.Spec, store.Spec) {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, previewTimeout)
	defer cancel()
	engine := &v1alpha1.Engine{}
	obj, err := p.engines.Get(ctx, store.Spec.Engine, &metav1.GetOptions{})
	if err == nil {
		err = p.scheme.Convert(obj, engine, nil)
	}
	if err != nil {
		return untold(fmt.Errorf("reading engine %q: %w", store.Spec.Engine, err)), nil
	}
	after, faults, err := p.objects(ctx, engine, store, old != nil)
	switch {
	case len(faults) > 0:
		return nil, apierrors.NewInvalid(v1alpha1.Kind("Store"), store.Name, faults)
	case err != nil:
		return untold(err), nil
	}
	var before []map[string]any
	if old != nil {
		before, faults, err = p.objects(ctx, engine, old, true)
		if err == nil {
			err = faults.ToAggregate()
		}
		if err != nil {
			return untold(fmt.Errorf("what the store asks for now: %w", err)), nil
		}
	}
	preview := compare(before, after)
	preview.Message = strings.TrimSpace(strings.Join(append(remarks(old, store), preview.Message), " "))
	return preview, nil
}

func (p *previewer) objects(ctx context.Context, engine *v1alpha1.Engine, store *platform.Store, upgrade bool) ([]map[string]any, field.ErrorList, error) {
	served := &v1alpha1.Store{}
	if err := p.scheme.Convert(store, served, nil); err != nil {
		return nil, nil, fmt.Errorf("converting store %q: %w", store.Name, err)
	}
	return p.shops.Objects(ctx, engine, served, upgrade)
}

// untold is the preview of what cannot be told.
func untold(err error) *platform.StorePreview {
	return &platform.StorePreview{Message: "What would change in the shop cannot be told: " + err.Error()}
}

// remarks tell what a comparison of old and store does not show.
func remarks(old, store *platform.Store) []string {
	var found []string
	if store.Spec.Suspend {
		found = append(found, "Nothing changes while spec.suspend is true.")
	}
	if old != nil && old.Status.Version != "" && old.Status.Version != old.Spec.Version {
		found = append(found, fmt.Sprintf("The shop runs version %s. The changes are those from version %s, which the store asks for now.", old.Status.Version, old.Spec.Version))
	}
	return found
}

// compare tells what becomes of the objects before when they are to be those after.
func compare(before, after []map[string]any) *platform.StorePreview {
	from, to := byIdentity(before), byIdentity(after)
	all := maps.Clone(from)
	maps.Copy(all, to)
	preview := &platform.StorePreview{}
	fields, more := 0, 0
	for _, id := range slices.SortedFunc(maps.Keys(all), identity.compare) {
		old, was := from[id]
		object, is := to[id]
		change := platform.ObjectChange{Object: id.kind + "/" + id.name, Change: platform.ObjectChanged}
		switch {
		case !was:
			change.Change = platform.ObjectAdded
		case !is:
			change.Change = platform.ObjectRemoved
		default:
			change.Fields = fieldChanges(id, old, object)
			if len(change.Fields) == 0 {
				continue
			}
		}
		if len(preview.Changes) == maxChanges || fields+len(change.Fields) > maxFields {
			more++
			continue
		}
		fields += len(change.Fields)
		preview.Changes = append(preview.Changes, change)
	}
	switch {
	case more > 0:
		preview.Message = fmt.Sprintf("Changed objects that are not shown: %d.", more)
	case len(preview.Changes) == 0:
		preview.Message = "No object of the shop changes."
	}
	return preview
}

// identity is what makes an object of a shop the same one before and after.
type identity struct {
	kind, name, group, namespace string
}

func (i identity) compare(other identity) int {
	return slices.Compare([]string{i.kind, i.name, i.group, i.namespace}, []string{other.kind, other.name, other.group, other.namespace})
}

func byIdentity(objects []map[string]any) map[identity]map[string]any {
	found := map[identity]map[string]any{}
	for _, object := range objects {
		metadata, _ := object["metadata"].(map[string]any)
		var id identity
		id.kind, _ = object["kind"].(string)
		id.name, _ = metadata["name"].(string)
		id.namespace, _ = metadata["namespace"].(string)
		apiVersion, _ := object["apiVersion"].(string)
		id.group = schema.FromAPIVersionAndKind(apiVersion, id.kind).Group
		found[id] = object
	}
	return found
}

// fieldChanges are the fields in which two states of an object differ, as they may be
// shown.
func fieldChanges(id identity, before, after map[string]any) []platform.FieldChange {
	found := changes(before, after)
	for i := range found {
		change := &found[i]
		if id.kind == "Secret" && change.Path != "type" && !strings.HasPrefix(change.Path, "metadata.") {
			hide(change)
		}
		cut(change)
	}
	return found
}

// hide takes the values out of a change.
func hide(change *platform.FieldChange) {
	for _, value := range []**string{&change.From, &change.To} {
		if *value != nil {
			text := hidden
			*value = &text
		}
	}
}

// cut shortens the values of a change to where they begin to differ.
func cut(change *platform.FieldChange) {
	const context = 20 // characters that stay before the difference
	var from, to []rune
	if change.From != nil {
		from = []rune(*change.From)
	}
	if change.To != nil {
		to = []rune(*change.To)
	}
	if len(from) <= maxText && len(to) <= maxText {
		return
	}
	same := 0
	for same < min(len(from), len(to)) && from[same] == to[same] {
		same++
	}
	start := max(0, same-context)
	shorten := func(value *string, runes []rune) *string {
		if value == nil {
			return nil
		}
		text := string(runes[start:min(len(runes), start+maxText)])
		if start > 0 {
			text = "…" + text
		}
		if len(runes) > start+maxText {
			text += "…"
		}
		return &text
	}
	change.From, change.To = shorten(change.From, from), shorten(change.To, to)
}
