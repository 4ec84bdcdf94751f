package report

import (
	"os"
	"testing"
)

// What an operation costs includes the work of other processes, and of those that have
// ended.
func TestProcessorTime(t *testing.T) {
	first, err := ProcessorTime(1)
	if err != nil || first == 0 {
		t.Fatalf("process 1 has used %v, error %v", first, err)
	}
	if _, err := Parent(-1); err == nil {
		t.Error("found the parent of no process")
	}
}

func TestMemory(t *testing.T) {
	now, peak, err := Memory(os.Getpid())
	if err != nil || now < 1<<20 || peak < now {
		t.Errorf("%d bytes now and %d at most, error %v", now, peak, err)
	}
	if _, _, err := Memory(-1); err == nil {
		t.Error("found the memory of no process")
	}
}

func TestNumber(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 0.0012: "0.001", 0.25: "0.25", 1.5: "1.5", 12.34: "12.3", 123.4: "123", 1234567: "1,234,567"} {
		if got := Number(x); got != want {
			t.Errorf("%v prints as %s, want %s", x, got, want)
		}
	}
}
