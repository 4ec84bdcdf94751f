package validation

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"platform.dev/stores/pkg/apis/platform"
)

// valuePath is a dotted path into chart values, such as "store.title".
var valuePath = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*$`)

// ValidateEngine returns every fault of an engine that is about to be written.
func ValidateEngine(engine *platform.Engine) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&engine.ObjectMeta, false, apivalidation.NameIsDNSLabel, field.NewPath("metadata"))
	errs = append(errs, validateMetadataSize(&engine.ObjectMeta, field.NewPath("metadata"))...)
	spec, path := &engine.Spec, field.NewPath("spec")
	errs = append(errs, validateJSONObject(spec.Values, path.Child("values"))...)
	errs = append(errs, validateJSONObject(spec.ValuesSchema, path.Child("valuesSchema"))...)
	errs = append(errs, validateVersions(spec, path)...)
	errs = append(errs, validatePlans(spec, path)...)
	for i, mapping := range spec.Mappings {
		if !valuePath.MatchString(mapping.Value) {
			errs = append(errs, field.Invalid(path.Child("mappings").Index(i).Child("value"), mapping.Value, `must be names joined by dots, such as "store.title"`))
		}
	}
	for i, credential := range spec.Credentials {
		for _, message := range utilvalidation.IsConfigMapKey(credential.Key) {
			errs = append(errs, field.Invalid(path.Child("credentials").Index(i).Child("key"), credential.Key, message))
		}
	}
	errs = append(errs, validateAdminLogin(spec, path.Child("adminLogin"))...)
	errs = append(errs, validateRollout(spec.Rollout, path.Child("rollout"))...)
	return append(errs, validateStorefront(&spec.Storefront, path.Child("storefront"))...)
}

// ValidateEngineUpdate returns every fault of the step from one engine to another.
func ValidateEngineUpdate(engine, old *platform.Engine) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&engine.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	return append(errs, ValidateEngine(engine)...)
}

// ValidateEngineStatusUpdate returns every fault of a new status.
func ValidateEngineStatusUpdate(engine, old *platform.Engine) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&engine.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	return append(errs, validateConditions(engine.Status.Conditions)...)
}

func validateRollout(rollout *platform.EngineRollout, path *field.Path) field.ErrorList {
	if rollout == nil {
		return nil
	}
	var errs field.ErrorList
	for i := range rollout.Waves {
		errs = append(errs, validateShare(&rollout.Waves[i], 1, path.Child("waves").Index(i))...)
	}
	errs = append(errs, validateShare(rollout.MaxConcurrency, 1, path.Child("maxConcurrency"))...)
	return append(errs, validateShare(rollout.MaxFailures, 0, path.Child("maxFailures"))...)
}

// percentage is one as a rollout takes it.
var percentage = regexp.MustCompile(`^(0|[1-9][0-9]?|100)%$`)

// validateShare checks a number of stores or a percentage of them.
func validateShare(value *intstr.IntOrString, least int, path *field.Path) field.ErrorList {
	if value == nil {
		return nil
	}
	number, isNumber := value.IntValue(), value.Type == intstr.Int
	if percentage.MatchString(value.StrVal) {
		number, _ = strconv.Atoi(strings.TrimSuffix(value.StrVal, "%"))
		isNumber = true
	}
	if isNumber && number >= least {
		return nil
	}
	message := fmt.Sprintf(`must be a number of stores from %d on, or a percentage from "%d%%" to "100%%"`, least, least)
	if least > 0 {
		message += "; to begin no upgrades set spec.rollout.paused"
	}
	return field.ErrorList{field.Invalid(path, value.String(), message)}
}

func validateVersions(spec *platform.EngineSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	var names []string
	for i, version := range spec.Versions {
		names = append(names, version.Name)
		errs = append(errs, validateJSONObject(version.Values, path.Child("versions").Index(i).Child("values"))...)
	}
	if !slices.Contains(names, spec.DefaultVersion) {
		errs = append(errs, field.NotSupported(path.Child("defaultVersion"), spec.DefaultVersion, names))
	}
	return errs
}

func validatePlans(spec *platform.EngineSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	var names []string
	for i, plan := range spec.Plans {
		names = append(names, plan.Name)
		planPath := path.Child("plans").Index(i)
		errs = append(errs, validateJSONObject(plan.Values, planPath.Child("values"))...)
		errs = append(errs, validateQuantities(plan.Quota, planPath.Child("quota"))...)
		errs = append(errs, validateQuantities(plan.Limits.DefaultRequest, planPath.Child("limits", "defaultRequest"))...)
		errs = append(errs, validateQuantities(plan.Limits.Default, planPath.Child("limits", "default"))...)
		errs = append(errs, validateQuantities(plan.Limits.Max, planPath.Child("limits", "max"))...)
	}
	if !slices.Contains(names, spec.DefaultPlan) {
		errs = append(errs, field.NotSupported(path.Child("defaultPlan"), spec.DefaultPlan, names))
	}
	return errs
}

func validateQuantities(quantities map[string]resource.Quantity, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(quantities)) {
		for _, message := range utilvalidation.IsQualifiedName(name) {
			errs = append(errs, field.Invalid(path.Key(name), name, message))
		}
		quantity := quantities[name]
		if quantity.Sign() < 0 {
			errs = append(errs, field.Invalid(path.Key(name), quantity.String(), "must not be negative"))
		}
	}
	return errs
}

// validateAdminLogin checks that the login is made of credentials that there are.
func validateAdminLogin(spec *platform.EngineSpec, path *field.Path) field.ErrorList {
	login := spec.AdminLogin
	if login == nil {
		return nil
	}
	var keys []string
	for _, credential := range spec.Credentials {
		keys = append(keys, credential.Key)
	}
	var errs field.ErrorList
	if !slices.Contains(keys, login.UsernameKey) {
		errs = append(errs, field.NotSupported(path.Child("usernameKey"), login.UsernameKey, keys))
	}
	if !slices.Contains(keys, login.PasswordKey) {
		errs = append(errs, field.NotSupported(path.Child("passwordKey"), login.PasswordKey, keys))
	}
	return errs
}

func validateStorefront(storefront *platform.Storefront, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if storefront.AdminPath != "" {
		errs = append(errs, validateURLPath(storefront.AdminPath, path.Child("adminPath"))...)
	}
	for i, check := range storefront.Checks {
		errs = append(errs, validateURLPath(check.Path, path.Child("checks").Index(i).Child("path"))...)
	}
	return errs
}

func validateURLPath(urlPath string, path *field.Path) field.ErrorList {
	if strings.HasPrefix(urlPath, "/") && !strings.HasPrefix(urlPath, "//") && !strings.ContainsAny(urlPath, " \t\r\n#\\") {
		return nil
	}
	return field.ErrorList{field.Invalid(path, urlPath, fmt.Sprintf("must start with a single %q and hold neither spaces nor fragments", "/"))}
}
