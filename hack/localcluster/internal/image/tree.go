package image

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Tree is a layer source made of one file or folder of the host. A folder's
// content appears below Target, a file appears as Target itself.
type Tree struct {
	// Source is the file or folder to pack. Where it is a symbolic link, what it
	// leads to is packed; links below it stay links.
	Source string
	// Target is the absolute path it gets in the image.
	Target string
	// UID and GID own every packed entry, whoever owns it on the host.
	UID, GID int
}

// writeTo writes the entries in lexical order. Modes are kept; anything but
// regular files, folders and symbolic links is an error.
func (t Tree) writeTo(tw *tar.Writer, mtime time.Time) error {
	source, err := filepath.EvalSymlinks(t.Source)
	if err != nil {
		return err
	}
	return filepath.WalkDir(source, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(source, name)
		if err != nil {
			return err
		}
		target := strings.TrimPrefix(path.Join(t.Target, filepath.ToSlash(relative)), "/")
		if target == "" { // An entry for the root itself makes container runtimes fail.
			return nil
		}
		return t.writeEntry(tw, name, target, entry, mtime)
	})
}

func (t Tree) writeEntry(tw *tar.Writer, name, target string, entry fs.DirEntry, mtime time.Time) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	var link string
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(name); err != nil {
			return err
		}
	} else if !info.IsDir() && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is neither a file, a folder nor a symbolic link", name)
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	header.Name = target
	if info.IsDir() {
		header.Name += "/"
	}
	header.Uid, header.Gid = t.UID, t.GID
	normalize(header, mtime)
	if err := tw.WriteHeader(header); err != nil {
		return fmt.Errorf("writing the header of %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(tw, file)
	return err
}

// normalize removes from an entry what differs between two builds of the same
// content, so that equal content gives an equal digest.
func normalize(header *tar.Header, mtime time.Time) {
	header.Uname, header.Gname = "", ""
	header.ModTime, header.AccessTime, header.ChangeTime = mtime, time.Time{}, time.Time{}
	header.Format = tar.FormatPAX
}
