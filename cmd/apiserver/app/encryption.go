package app

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/apiserver/pkg/storage/value"
)

// EncryptionOptions say how objects are encrypted in the database.
type EncryptionOptions struct {
	// ConfigFile holds an EncryptionConfiguration. Without it nothing is encrypted.
	ConfigFile string
}

// AddFlags adds the flags of encryption. They are called as those of a Kubernetes API
// server.
func (o *EncryptionOptions) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ConfigFile, "encryption-provider-config", o.ConfigFile, "File with the EncryptionConfiguration by which objects are encrypted in PostgreSQL. It is read at start.")
}

// Load returns what encrypts each resource, nil for nothing, and makes the server's health
// depend on the key services that takes, which end with ctx.
func (o *EncryptionOptions) Load(ctx context.Context, config *genericapiserver.RecommendedConfig) (value.ResourceTransformers, error) {
	if o.ConfigFile == "" {
		return nil, nil
	}
	loaded, err := encryptionconfig.LoadEncryptionConfig(ctx, o.ConfigFile, false, config.APIServerID)
	if err != nil {
		return nil, fmt.Errorf("reading --encryption-provider-config: %w", err)
	}
	config.AddHealthChecks(loaded.HealthChecks...)
	return encryptionconfig.StaticTransformers(loaded.Transformers), nil
}
