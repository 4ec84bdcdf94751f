package app

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	// minRetention leaves the watches of the cluster what they may still ask for.
	minRetention = 15 * time.Minute
	// minHistorySize is some thousand revisions.
	minHistorySize = 64 << 20
)

// HistoryOptions bound what the server remembers of objects' pasts.
type HistoryOptions struct {
	// Retention is how long revisions are kept, 0 for ever.
	Retention time.Duration
	// MaxSize is the most that they may take on the database's disk, 0 for no bound.
	MaxSize resource.QuantityValue
}

// NewHistoryOptions returns the defaults: everything is kept.
func NewHistoryOptions() *HistoryOptions { return &HistoryOptions{} }

// AddFlags adds the flags of the history.
func (o *HistoryOptions) AddFlags(fs *pflag.FlagSet) {
	fs.DurationVar(&o.Retention, "history-retention", o.Retention, "How long the revisions of objects are kept that are not current, such as 720h. They go an eighth of that later at most. 0 keeps them for ever.")
	fs.Var(&o.MaxSize, "history-max-size", "The most that objects and their revisions may take on the database's disk, such as 10Gi. Beyond it the oldest revisions go, however young they are; what is current stays in any case. 0 is no bound.")
}

// Validate returns every fault of the options.
func (o *HistoryOptions) Validate() []error {
	var errs []error
	if o.Retention != 0 && o.Retention < minRetention {
		errs = append(errs, fmt.Errorf("--history-retention=%s must be 0 or at least %s", o.Retention, minRetention))
	}
	if size := o.MaxSize.Value(); size != 0 && size < minHistorySize {
		errs = append(errs, fmt.Errorf("--history-max-size=%s must be 0 or at least %s", o.MaxSize.String(), resource.NewQuantity(minHistorySize, resource.BinarySI)))
	}
	return errs
}
