package cluster

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lock keeps two starts or stops from working at the same time. It locks a
// folder that always exists, since a stopped cluster leaves no file behind.
func lock() (unlock func(), err error) {
	folder, err := os.Open("/run")
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return func() { folder.Close() }, nil
	}
	folder.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.New("another start or stop is at work")
	}
	return nil, fmt.Errorf("locking: %w", err)
}
