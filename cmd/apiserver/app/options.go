// Package app turns the API server's flags into a running server.
package app

import (
	"errors"
	"fmt"
	"strings"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"

	"platform.dev/stores/pkg/admission/deletionprotection"
	"platform.dev/stores/pkg/admission/storeengine"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/apiserver"
)

// Options are the server's flags.
type Options struct {
	ServerRun   *genericoptions.ServerRunOptions
	Recommended *genericoptions.RecommendedOptions
	Postgres    *PostgresOptions
	Encryption  *EncryptionOptions
	History     *HistoryOptions
	Quota       *QuotaOptions
	Logs        *logs.Options
	// Domain is where stores without a host of their own answer.
	Domain string
	// StoreURLScheme and StoreURLPort are how shoppers reach stores, as the
	// provisioner is told too.
	StoreURLScheme string
	StoreURLPort   int
	// SelfSigned allows the server to make its own certificate.
	SelfSigned bool
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	o := &Options{
		ServerRun:   genericoptions.NewServerRunOptions(),
		Recommended: genericoptions.NewRecommendedOptions("", apiserver.Codecs.LegacyCodec(v1alpha1.SchemeGroupVersion)),
		Postgres:    NewPostgresOptions(),
		Encryption:  &EncryptionOptions{},
		History:     NewHistoryOptions(),
		Quota:       NewQuotaOptions(),
		Logs:        logs.NewOptions(),

		StoreURLScheme: "https",
	}
	// Objects live in PostgreSQL. Without etcd's options nothing asks for etcd.
	o.Recommended.Etcd = nil
	o.Recommended.SecureServing.BindPort = 6443
	o.Recommended.SecureServing.ServerCert.CertDirectory = ""
	// By HTTP/2 all that the cluster forwards would depend on one connection: ADR 23.
	o.Recommended.SecureServing.DisableHTTP2Serving = true
	admission := o.Recommended.Admission
	storeengine.Register(admission.Plugins)
	deletionprotection.Register(admission.Plugins)
	admission.RecommendedPluginOrder = append(admission.RecommendedPluginOrder, storeengine.PluginName, deletionprotection.PluginName)
	return o
}

// Flags returns all flags in named sets, for a help text that can be read.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var sets cliflag.NamedFlagSets
	fs := sets.FlagSet("platform")
	fs.StringVar(&o.Domain, "store-domain", o.Domain, "Domain under which a store that names no host answers, as <store>.<domain>. Required.")
	fs.StringVar(&o.StoreURLScheme, "store-url-scheme", o.StoreURLScheme, "How shoppers reach stores, http or https, as the provisioner is told too: for previews of what a change would do.")
	fs.IntVar(&o.StoreURLPort, "store-url-port", o.StoreURLPort, "Port of the stores' URLs, as the provisioner is told too; 0 is the scheme's own.")
	fs.BoolVar(&o.SelfSigned, "self-signed-certificate", o.SelfSigned, "Serve with a certificate made at start when --tls-cert-file is not given. For tests: no API server can verify it.")
	o.Quota.AddFlags(sets.FlagSet("quota"))
	o.Postgres.AddFlags(sets.FlagSet("postgres"))
	o.Encryption.AddFlags(sets.FlagSet("postgres"))
	o.History.AddFlags(sets.FlagSet("history"))
	o.ServerRun.AddUniversalFlags(sets.FlagSet("generic"))
	o.Recommended.SecureServing.AddFlags(sets.FlagSet("secure serving"))
	o.Recommended.Authentication.AddFlags(sets.FlagSet("authentication"))
	o.Recommended.Authorization.AddFlags(sets.FlagSet("authorization"))
	o.Recommended.Audit.AddFlags(sets.FlagSet("audit"))
	o.Recommended.Features.AddFlags(sets.FlagSet("features"))
	o.Recommended.CoreAPI.AddFlags(sets.FlagSet("core API"))
	o.Recommended.Admission.AddFlags(sets.FlagSet("admission"))
	o.Recommended.Traces.AddFlags(sets.FlagSet("traces"))
	logsapi.AddFlags(o.Logs, sets.FlagSet("logs"))
	return sets
}

// Validate returns every fault of the flags, before anything is opened.
func (o *Options) Validate() error {
	var errs []error
	errs = append(errs, o.ServerRun.Validate()...)
	errs = append(errs, o.Recommended.Validate()...)
	errs = append(errs, o.Postgres.Validate()...)
	errs = append(errs, o.History.Validate()...)
	errs = append(errs, o.Quota.Validate()...)
	if messages := validation.IsDNS1123Subdomain(o.Domain); len(messages) > 0 {
		errs = append(errs, fmt.Errorf("--store-domain=%q: %s", o.Domain, strings.Join(messages, "; ")))
	}
	if o.StoreURLScheme != "http" && o.StoreURLScheme != "https" {
		errs = append(errs, fmt.Errorf("--store-url-scheme=%q must be http or https", o.StoreURLScheme))
	}
	if o.StoreURLPort < 0 || o.StoreURLPort > 65535 {
		errs = append(errs, fmt.Errorf("--store-url-port=%d must be from 0 to 65535", o.StoreURLPort))
	}
	if cert := o.Recommended.SecureServing.ServerCert.CertKey; cert.CertFile == "" && !o.SelfSigned {
		errs = append(errs, errors.New("--tls-cert-file and --tls-private-key-file are required: the API server that forwards requests verifies the certificate"))
	}
	return utilerrors.NewAggregate(errs)
}
