package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// titles are names that something on the way could take for something else.
var titles = []string{
	`Tom's "Best", {50% off} [sale]; a=b`,
	`<script>alert(1)</script> & <b>bold</b> &amp; &lt; &#65;`,
	"$(ADMIN_PASSWORD) ${HOME} `id` \\n '; drop table wp_options; --",
	`{{ .Values.existingSecret }} {% raw %} %s %d <?php echo 1 ?>`,
	`WordPress... :) 9x9 -- (c) [gallery] "quoted" 8-) Wordpress`,
	"متجر الزهور 花屋 Bäckerei 🌷👩‍👩‍👧",
	"null", "1e3", "0x10", "~", "- a: b # c",
	strings.Repeat("🌷", 128),
}

// Any title is shown as it was written. The engines have a test each, because
// parallel parts of a test begin after all other tests have begun.
func TestNeverAgain10MedusaShowsAnyTitle(t *testing.T) {
	t.Parallel()
	showTitles(t, "medusa")
}

func TestNeverAgain10WooCommerceShowsAnyTitle(t *testing.T) {
	t.Parallel()
	showTitles(t, "woocommerce")
}

// showTitles makes a store and gives it one title after the other.
func showTitles(t *testing.T, engine string) {
	t.Helper()
	name := "titled-" + engine
	createStore(t, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.StoreSpec{Engine: engine}})
	store := waitFor(t, name, v1alpha1.ConditionReady, 8*time.Minute)
	for _, title := range titles {
		patch, err := json.Marshal(map[string]any{"spec": map[string]any{"displayName": title}})
		if err != nil {
			t.Fatal(err)
		}
		patchStore(t, name, string(patch))
		eventually(t, 3*time.Minute, fmt.Sprintf("the title %q", title), func(ctx context.Context) (bool, string) {
			status, page, err := visit(ctx, store, "/")
			if err != nil {
				return false, err.Error()
			}
			head, _, _ := strings.Cut(page, "</head>")
			return status == http.StatusOK && strings.Contains(html.UnescapeString(head), title) && strings.Contains(html.UnescapeString(page[len(head):]), title), page
		})
	}
}

func TestNeverAgain11AnyLegalDisplayNameProvisions(t *testing.T) {
	t.Parallel()
	engines := []string{"woocommerce", "medusa"}
	for _, engine := range engines {
		createStore(t, &v1alpha1.Store{
			ObjectMeta: metav1.ObjectMeta{Name: "legal-" + engine},
			Spec:       v1alpha1.StoreSpec{Engine: engine, DisplayName: ` Tom's "Best" Shop, {50% off} — 花 🌷 <b> -n=; `},
		})
	}
	for _, engine := range engines {
		waitFor(t, "legal-"+engine, v1alpha1.ConditionReady, 8*time.Minute)
	}
}

// A store whose shop has lost what it sells with says so, and recovers.
func TestNeverAgain25ReadyMeansThatTheShopSells(t *testing.T) {
	t.Parallel()
	createStore(t, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: "honest"}, Spec: v1alpha1.StoreSpec{Engine: "woocommerce"}})
	store := waitFor(t, "honest", v1alpha1.ConditionReady, 5*time.Minute)
	helmTest(t, store)

	sql(t, store, "update wp_posts set post_status = 'draft' where post_name = 'shop'")
	waitForStorefront(t, "honest", metav1.ConditionFalse, "page")
	sql(t, store, "update wp_posts set post_status = 'publish' where post_name = 'shop'")
	waitFor(t, "honest", v1alpha1.ConditionReady, 2*time.Minute)
}

// A store whose image lacks the shop's plugin is never Ready, and says why.
func TestWooCommerceWithoutItsPluginIsNotReady(t *testing.T) {
	t.Parallel()
	engine, err := platform.PlatformV1alpha1().Engines().Get(t.Context(), "woocommerce", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := json.Unmarshal(engine.Spec.Values.Raw, &values); err != nil {
		t.Fatal(err)
	}
	values["plugin"] = map[string]any{"slug": "not-in-the-image"}
	raw, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	engine.ObjectMeta = metav1.ObjectMeta{Name: "bare"}
	engine.Spec.Values = &runtime.RawExtension{Raw: raw}
	if _, err := platform.PlatformV1alpha1().Engines().Create(t.Context(), engine, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = platform.PlatformV1alpha1().Engines().Delete(context.WithoutCancel(t.Context()), "bare", metav1.DeleteOptions{})
	})
	store := createStore(t, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: "bare"}, Spec: v1alpha1.StoreSpec{Engine: "bare"}})
	waitForStorefront(t, "bare", metav1.ConditionFalse, "the image holds no plugin not-in-the-image")
	if err := platform.PlatformV1alpha1().Stores("default").Delete(t.Context(), "bare", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	waitGone(t, store)
}

// Neither a shop that is just being made, nor one that is ready, nor one that has
// lost its tables lets anybody install WordPress.
func TestNeverAgain31NobodyMeetsAnInstaller(t *testing.T) {
	t.Parallel()
	store := createStore(t, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: "claimed"}, Spec: v1alpha1.StoreSpec{Engine: "woocommerce"}})
	answers := 0
	look := func(ctx context.Context, paths ...string) {
		for _, path := range paths {
			status, page, err := visit(ctx, store, path)
			if err != nil {
				continue // nothing answers yet
			}
			answers++
			if status == http.StatusOK || offersInstallation(page) {
				t.Errorf("GET %s answered %d:\n%.500s", path, status, page)
			}
		}
	}
	installers := []string{"/wp-admin/install.php", "/wp-admin/install.php?step=1&language=en", "/wp-admin//install.php/x", "/wp-admin/setup-config.php", "/wp-admin/upgrade.php?step=1"}
	eventually(t, 5*time.Minute, "store claimed to be ready", func(ctx context.Context) (bool, string) {
		look(ctx, installers[0])
		found, err := getStore(ctx, "claimed")
		if err != nil {
			return false, err.Error()
		}
		ready := slices.ContainsFunc(found.Status.Conditions, func(c metav1.Condition) bool {
			return c.Type == v1alpha1.ConditionReady && c.Status == metav1.ConditionTrue
		})
		store = found
		return ready, describe(found)
	})
	look(t.Context(), installers...)

	sql(t, store, "rename table wp_options to hidden")
	look(t.Context(), installers...)
	if _, page, err := visit(t.Context(), store, "/"); err == nil && offersInstallation(page) {
		t.Errorf("without its tables the shop offers installation:\n%.500s", page)
	}
	sql(t, store, "rename table hidden to wp_options")
	if answers < 2*len(installers) {
		t.Errorf("only %d requests were answered", answers)
	}
}

func offersInstallation(page string) bool {
	return strings.Contains(page, `id="setup"`) || strings.Contains(page, "weblog_title") || strings.Contains(page, "Install WordPress")
}

// visit asks the shop as a shopper's browser does, and follows no redirect.
func visit(ctx context.Context, store *v1alpha1.Store, path string) (status int, page string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:8080"+path, nil)
	if err != nil {
		return 0, "", err
	}
	request.Host = store.Spec.Host
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// sql asks or changes the database of a store of engine woocommerce.
func sql(t *testing.T, store *v1alpha1.Store, statement string) string {
	t.Helper()
	return kubectl(t, "-n", store.Status.Namespace, "exec", "mariadb-0", "--",
		"mariadb", "--no-defaults", "--socket=/run/mysqld/mysqld.sock", "--default-character-set=utf8mb4", "--batch", "--skip-column-names", "wordpress", "-e", statement)
}

func waitForStorefront(t *testing.T, name string, status metav1.ConditionStatus, message string) {
	t.Helper()
	eventually(t, 4*time.Minute, fmt.Sprintf("the storefront of %s to say %q", name, message), func(ctx context.Context) (bool, string) {
		store, err := getStore(ctx, name)
		if err != nil {
			return false, err.Error()
		}
		return slices.ContainsFunc(store.Status.Conditions, func(c metav1.Condition) bool {
			return c.Type == v1alpha1.ConditionStorefrontReady && c.Status == status && strings.Contains(c.Message, message)
		}), describe(store)
	})
}
