package app

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"platform.dev/stores/pkg/registry/platform/quota"
)

// QuotaOptions bound owners of stores whom no StoreQuota concerns.
type QuotaOptions struct {
	// StoresPerOwner is how many stores one may have.
	StoresPerOwner int32
	// CreateRate is how many stores one may create in any span of CreateWindow.
	CreateRate   int32
	CreateWindow time.Duration
}

// NewQuotaOptions returns the defaults.
func NewQuotaOptions() *QuotaOptions {
	return &QuotaOptions{StoresPerOwner: 10, CreateRate: 10, CreateWindow: 15 * time.Minute}
}

// AddFlags adds the flags of the quota.
func (o *QuotaOptions) AddFlags(fs *pflag.FlagSet) {
	fs.Int32Var(&o.StoresPerOwner, "default-stores-per-owner", o.StoresPerOwner, "How many stores a user may own whom no StoreQuota concerns. 0 is no bound.")
	fs.Int32Var(&o.CreateRate, "default-create-rate", o.CreateRate, "How many stores a user whom no StoreQuota concerns may create in any span of --default-create-window. 0 is no bound.")
	fs.DurationVar(&o.CreateWindow, "default-create-window", o.CreateWindow, "The span of --default-create-rate.")
}

// Validate returns every fault of the options.
func (o *QuotaOptions) Validate() []error {
	var errs []error
	if o.StoresPerOwner < 0 {
		errs = append(errs, fmt.Errorf("--default-stores-per-owner=%d must not be negative", o.StoresPerOwner))
	}
	if o.CreateRate < 0 {
		errs = append(errs, fmt.Errorf("--default-create-rate=%d must not be negative", o.CreateRate))
	}
	if o.CreateWindow < time.Second {
		errs = append(errs, fmt.Errorf("--default-create-window=%s must be at least 1s", o.CreateWindow))
	}
	return errs
}

// Defaults returns the bounds as the registry takes them.
func (o *QuotaOptions) Defaults() quota.Defaults {
	return quota.Defaults{StoresPerOwner: o.StoresPerOwner, CreateCount: o.CreateRate, CreateWindow: o.CreateWindow}
}
