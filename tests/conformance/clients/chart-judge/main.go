// chart-judge renders a Helm chart with Helm's own library, and reads every document that comes
// out as strictly as a Kubernetes API server does: an unknown or repeated field is an error.
//
//	chart-judge CHART <values.json
//
// It prints the objects as a JSON array, or says what is wrong and ends with 1.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
)

func judge(path string, given io.Reader) ([]runtime.Object, error) {
	chart, err := loader.Load(path)
	if err != nil {
		return nil, err
	}
	var values map[string]any
	if err := json.NewDecoder(given).Decode(&values); err != nil {
		return nil, err
	}
	release := chartutil.ReleaseOptions{Name: "trial", Namespace: "signing", Revision: 1, IsInstall: true}
	capabilities := *chartutil.DefaultCapabilities
	capabilities.KubeVersion = chartutil.KubeVersion{Version: "v1.31.0", Major: "1", Minor: "31"}
	// The values are held against the chart's schema in here.
	merged, err := chartutil.ToRenderValues(chart, values, release, &capabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(chart, merged)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(files))
	for name := range files {
		if strings.HasSuffix(name, ".yaml") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	codecs := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict)
	objects := []runtime.Object{}
	for _, name := range names {
		for _, document := range releaseutil.SplitManifests(files[name]) {
			object, _, err := codecs.UniversalDeserializer().Decode([]byte(document), nil, nil)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			objects = append(objects, object)
		}
	}
	return objects, nil
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: chart-judge CHART <values.json")
		os.Exit(2)
	}
	objects, err := judge(os.Args[1], os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(objects); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
