// Command image packs files and folders of the host into a container image and
// writes it as an OCI archive, without a container engine or a registry.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"platform.dev/stores/hack/localcluster/internal/image"
)

const usage = `Usage: image -o FILE -t NAME:TAG -layer LAYER [-layer LAYER]... [flags]

Packs an OCI archive that "ctr images import" and "localcluster load" accept.
Layers are stacked in the order given, from the bottom up:

  -layer FOLDER=/PATH[:UID:GID]   the folder's content below /PATH, owned by UID:GID (0:0)
  -layer FILE=/PATH[:UID:GID]     one file at /PATH
  -layer FILE.tar                 a plain tar, owners and modes kept
  -diff  BASE.tar:FULL.tar        what FULL.tar has over BASE.tar; stack it on -layer BASE.tar

Every time stamp becomes SOURCE_DATE_EPOCH (default 1704067200), so equal input
gives an equal image. A packed layer is kept in -cache and used again.

Example:
  image -o _output/images/medusa.tar -t platform.dev/medusa:2.21.2 \
    -layer base.tar -layer app=/app:1000:1000 \
    -user 1000 -env NODE_ENV=production -workdir /app -entrypoint /usr/bin/node -cmd server.js

Flags:
`

// list is a flag that may be repeated.
type list []string

func (l *list) String() string         { return strings.Join(*l, " ") }
func (l *list) Set(value string) error { *l = append(*l, value); return nil }

// options is the command line.
type options struct {
	output, tag, cache, compression, architecture string
	layers                                        []image.Source
	config                                        v1.Config
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run() error {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	mtime, err := sourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	cache := image.LayerCache{Folder: o.cache, Compression: image.Compression(o.compression), ModTime: mtime}
	built, err := image.Build(image.Spec{Layers: o.layers, Config: o.config, Architecture: o.architecture}, cache)
	if err != nil {
		return err
	}
	if err := image.WriteArchive(o.output, o.tag, built, mtime); err != nil {
		return err
	}
	digest, err := built.Digest()
	if err != nil {
		return err
	}
	info, err := os.Stat(o.output)
	if err != nil {
		return err
	}
	fmt.Printf("%s %s@%s %d MB\n", o.output, o.tag, digest, info.Size()>>20)
	return nil
}

func parse(arguments []string) (*options, error) {
	o := &options{}
	var env, entrypoint, command, labels, ports list
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.output, "o", "", "archive to write")
	flags.StringVar(&o.tag, "t", "", "full image name with registry host and tag, such as platform.dev/medusa:2.21.2")
	flags.StringVar(&o.cache, "cache", "", "folder of packed layers (default .layers beside the archive)")
	flags.StringVar(&o.compression, "compression", string(image.Zstd), "zstd or gzip")
	flags.StringVar(&o.architecture, "arch", runtime.GOARCH, "processor the content is for")
	flags.StringVar(&o.config.User, "user", "", "numeric user, or user:group, that containers run as")
	flags.StringVar(&o.config.WorkingDir, "workdir", "/", "working directory")
	flags.StringVar(&o.config.StopSignal, "stop-signal", "", "signal that stops a container (default SIGTERM)")
	flags.Var(&env, "env", "environment variable KEY=VALUE; repeat for more")
	flags.Var(&entrypoint, "entrypoint", "one word of the entrypoint; repeat for each")
	flags.Var(&command, "cmd", "one word of the default arguments; repeat for each")
	flags.Var(&labels, "label", "image label KEY=VALUE; repeat for more")
	flags.Var(&ports, "expose", "documented port such as 9000/tcp; repeat for more")
	flags.Func("layer", "layer to add, see above; repeat for more", func(value string) (err error) {
		return o.addLayer(parseLayer(value))
	})
	flags.Func("diff", "layer to add with the difference of two tars, see above", func(value string) error {
		base, full, found := strings.Cut(value, ":")
		if !found {
			return errors.New("want BASE.tar:FULL.tar")
		}
		return o.addLayer(image.Difference{Base: base, Full: full}, nil)
	})
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: every setting is a flag, see -h", flags.Arg(0))
	}
	if o.output == "" || o.tag == "" || len(o.layers) == 0 {
		return nil, errors.New("-o, -t and at least one -layer are required, see -h")
	}
	if o.cache == "" {
		o.cache = filepath.Join(filepath.Dir(o.output), ".layers")
	}
	return o, o.complete(env, entrypoint, command, labels, ports)
}

func (o *options) addLayer(source image.Source, err error) error {
	if err == nil {
		o.layers = append(o.layers, source)
	}
	return err
}

// complete fills the container configuration from the repeated flags.
func (o *options) complete(env, entrypoint, command, labels, ports list) error {
	o.config.Entrypoint, o.config.Cmd = entrypoint, command
	o.config.Env = env
	if !slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "PATH=") }) {
		o.config.Env = append(o.config.Env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	for _, label := range labels {
		key, value, found := strings.Cut(label, "=")
		if !found {
			return fmt.Errorf("-label %q: want KEY=VALUE", label)
		}
		if o.config.Labels == nil {
			o.config.Labels = map[string]string{}
		}
		o.config.Labels[key] = value
	}
	for _, port := range ports {
		if o.config.ExposedPorts == nil {
			o.config.ExposedPorts = map[string]struct{}{}
		}
		o.config.ExposedPorts[port] = struct{}{}
	}
	return nil
}

// parseLayer reads FILE.tar or SOURCE=/PATH[:UID:GID].
func parseLayer(value string) (image.Source, error) {
	source, target, found := strings.Cut(value, "=")
	if !found {
		return image.Archive{Path: value}, nil
	}
	tree := image.Tree{Source: source, Target: target}
	if path, owner, found := strings.Cut(target, ":"); found {
		uid, gid, _ := strings.Cut(owner, ":")
		var uidErr, gidErr error
		tree.Target = path
		tree.UID, uidErr = strconv.Atoi(uid)
		tree.GID, gidErr = strconv.Atoi(gid)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("want SOURCE=/PATH:UID:GID: %w", err)
		}
	}
	if !strings.HasPrefix(tree.Target, "/") {
		return nil, fmt.Errorf("path %q in the image must be absolute", tree.Target)
	}
	return tree, nil
}

func sourceDate(epoch string) (time.Time, error) {
	if epoch == "" {
		return time.Unix(1704067200, 0).UTC(), nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || seconds <= 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q: want a positive number of seconds", epoch)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
