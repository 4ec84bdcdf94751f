package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// operation is a kind of request.
type operation struct{ verb, resource string }

// requests are counts of them.
type requests map[operation]int

// The verbs that change nothing.
var reading = []string{"get", "list", "watch"}

// minus returns what has come since before.
func (r requests) minus(before requests) requests {
	since := requests{}
	for o, count := range r {
		if count -= before[o]; count != 0 {
			since[o] = count
		}
	}
	return since
}

// The kinds of requests that are counted apart.
func isWatch(o operation) bool { return o.verb == "watch" }
func isLease(o operation) bool { return o.resource == "leases" }
func isWrite(o operation) bool {
	return !isLease(o) && !slices.Contains(reading, o.verb)
}
func isRead(o operation) bool { return !isLease(o) && !isWatch(o) && !isWrite(o) }

// of counts the requests of a kind.
func (r requests) of(kind func(operation) bool) int {
	sum := 0
	for o, count := range r {
		if kind(o) {
			sum += count
		}
	}
	return sum
}

// audit reads the kube-apiserver's audit log.
type audit struct {
	path   string
	user   string // whose requests count
	offset int64
	seen   requests
}

// read returns all that the user has asked for so far.
func (a *audit) read() (requests, error) {
	file, err := os.Open(a.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(a.offset, io.SeekStart); err != nil {
		return nil, err
	}
	if a.seen == nil {
		a.seen = requests{}
	}
	for reader := bufio.NewReader(file); ; {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			// What of a line is there is read with its rest.
			return maps.Clone(a.seen), nil
		}
		if err != nil {
			return nil, err
		}
		a.offset += int64(len(line))
		if err := a.count(line); err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
	}
}

func (a *audit) count(line []byte) error {
	var event auditv1.Event
	if err := json.Unmarshal(line, &event); err != nil {
		return err
	}
	// A watch is told twice: when it begins, and when it ends.
	began := event.Stage == auditv1.StageResponseStarted
	if event.User.Username != a.user || began != (event.Verb == "watch") {
		return nil
	}
	resource, _, _ := strings.Cut(event.RequestURI, "?")
	if object := event.ObjectRef; object != nil {
		if resource = object.Resource; object.Subresource != "" {
			resource += "/" + object.Subresource
		}
	}
	a.seen[operation{event.Verb, resource}]++
	return nil
}

// sum adds up the series of a metric but for those with a label's value.
func sum(metrics []byte, name string, without map[string]string) (float64, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(metrics))
	if err != nil {
		return 0, fmt.Errorf("parsing metrics: %w", err)
	}
	family, ok := families[name]
	if !ok {
		return 0, fmt.Errorf("there is no metric %s", name)
	}
	total := 0.0
	for _, metric := range family.Metric {
		if !slices.ContainsFunc(metric.Label, func(l *dto.LabelPair) bool {
			value, ok := without[l.GetName()]
			return ok && value == l.GetValue()
		}) {
			total += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	return total, nil
}
