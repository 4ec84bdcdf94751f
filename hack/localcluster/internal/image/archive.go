package image

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"
)

// Archive is a layer source made of a plain tar file, such as a root file
// system. Owners and modes are kept.
type Archive struct {
	// Path of the uncompressed tar file.
	Path string
}

func (a Archive) writeTo(tw *tar.Writer, mtime time.Time) error {
	return eachEntry(a.Path, func(header *tar.Header, content io.Reader) error {
		return copyEntry(tw, header, content, mtime)
	})
}

// Difference is a layer source with what Full has over Base: new and changed
// entries, and a whiteout for each entry that Full lacks. Stacked on a layer
// made of Base it gives Full, and the layer of Base is shared between images.
type Difference struct {
	// Base and Full are paths of uncompressed tar files.
	Base, Full string
}

func (d Difference) writeTo(tw *tar.Writer, mtime time.Time) error {
	base, err := fingerprints(d.Base)
	if err != nil {
		return err
	}
	full, err := fingerprints(d.Full)
	if err != nil {
		return err
	}
	if err := writeWhiteouts(tw, base, full, mtime); err != nil {
		return err
	}
	return eachEntry(d.Full, func(header *tar.Header, content io.Reader) error {
		if name := entryName(header); base[name] == full[name] {
			return nil
		}
		return copyEntry(tw, header, content, mtime)
	})
}

// fingerprints maps the name of every entry to a hash of all that matters of it.
func fingerprints(archive string) (map[string][sha256.Size]byte, error) {
	result := map[string][sha256.Size]byte{}
	err := eachEntry(archive, func(header *tar.Header, content io.Reader) error {
		hash := sha256.New()
		fmt.Fprintln(hash, header.Typeflag, header.Mode, header.Uid, header.Gid, header.Linkname,
			header.Devmajor, header.Devminor, header.PAXRecords["SCHILY.xattr.security.capability"])
		if _, err := io.Copy(hash, content); err != nil {
			return err
		}
		result[entryName(header)] = [sha256.Size]byte(hash.Sum(nil))
		return nil
	})
	return result, err
}

func writeWhiteouts(tw *tar.Writer, base, full map[string][sha256.Size]byte, mtime time.Time) error {
	for _, name := range sortedKeys(base) {
		if _, kept := full[name]; kept {
			continue
		}
		if _, parentKept := full[path.Dir(name)]; !parentKept && path.Dir(name) != "." {
			continue // The whiteout of the folder covers it.
		}
		header := &tar.Header{Name: path.Join(path.Dir(name), ".wh."+path.Base(name)), Typeflag: tar.TypeReg, Mode: 0o644}
		normalize(header, mtime)
		if err := tw.WriteHeader(header); err != nil {
			return fmt.Errorf("writing the whiteout of %s: %w", name, err)
		}
	}
	return nil
}

// eachEntry calls visit for every entry of a tar file but its root.
func eachEntry(archive string, visit func(*tar.Header, io.Reader) error) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	reader := tar.NewReader(file)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", archive, err)
		}
		if entryName(header) == "." || header.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if err := visit(header, reader); err != nil {
			return fmt.Errorf("%s in %s: %w", header.Name, archive, err)
		}
	}
}

// entryName is the one spelling of names such as ./etc/, /etc and etc.
func entryName(header *tar.Header) string {
	name := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
	if name == "" {
		return "."
	}
	return name
}

func copyEntry(tw *tar.Writer, header *tar.Header, content io.Reader, mtime time.Time) error {
	folder := header.Typeflag == tar.TypeDir
	header.Name = entryName(header)
	if folder {
		header.Name += "/"
	}
	if header.Typeflag == tar.TypeLink {
		header.Linkname = strings.TrimPrefix(path.Clean("/"+header.Linkname), "/")
	}
	normalize(header, mtime)
	if err := tw.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(tw, content)
	return err
}
