package chart

import (
	"fmt"
	"io"
	"net/http"

	"helm.sh/helm/v3/pkg/chart/loader"
)

const (
	// maxDownload bounds what a registry or a chart repository may send.
	maxDownload = 32 << 20
	// maxUnpacked bounds a chart's files. Compressed they must fit into a Secret.
	maxUnpacked = 32 << 20
)

func init() { loader.MaxDecompressedChartSize = maxUnpacked }

// limited is a transport whose answers end with an error when they become too large.
type limited struct {
	charts *Charts
}

// RoundTrip implements http.RoundTripper.
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		response.Body = &limitedBody{response.Body, l.charts.MaxDownload, l.charts.MaxDownload}
	}
	return response, err
}

type limitedBody struct {
	io.ReadCloser
	left, limit int64
}

// Read implements io.Reader.
func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("the answer is larger than %d KiB", b.limit>>10)
	}
	return n, err
}
