// Package deploy holds the files in deploy/ against the published types and schemas of Kubernetes and Compose.
package deploy

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Build gives the documents that `kubectl apply -k` would send.
func Build(directory string) ([]string, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), directory)
	if err != nil {
		return nil, err
	}
	var documents []string
	for _, resource := range built.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			return nil, err
		}
		documents = append(documents, string(text))
	}
	return documents, nil
}

func decoder() (runtime.Decoder, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer(), nil
}

// Decode reads a document into Kubernetes' own types, refusing what they do not have, and what the schema requires and
// the document lacks.
func Decode(document string) (runtime.Object, error) {
	strict, err := decoder()
	if err != nil {
		return nil, err
	}
	object, _, err := strict.Decode([]byte(document), nil, nil)
	if err != nil {
		return nil, err
	}
	node, err := yaml.Parse(document)
	if err != nil {
		return nil, err
	}
	kind := yaml.TypeMeta{APIVersion: node.GetApiVersion(), Kind: node.GetKind()}
	schema := openapi.SchemaForResourceType(kind)
	if schema == nil {
		return nil, fmt.Errorf("no schema for %s %s", kind.APIVersion, kind.Kind)
	}
	if missing := lacking(node, schema, kind.Kind); len(missing) > 0 {
		return nil, fmt.Errorf("missing: %s", strings.Join(missing, ", "))
	}
	return object, nil
}

// lacking walks a document beside its schema and names the required members that are not there.
func lacking(node *yaml.RNode, schema *openapi.ResourceSchema, path string) []string {
	if node.YNode().Kind == yaml.SequenceNode {
		elements, err := node.Elements()
		of := schema.Elements()
		if err != nil || of == nil {
			return nil
		}
		var missing []string
		for index, element := range elements {
			missing = append(missing, lacking(element, of, fmt.Sprintf("%s[%d]", path, index))...)
		}
		return missing
	}
	if node.YNode().Kind != yaml.MappingNode {
		return nil
	}
	var missing []string
	for _, name := range schema.Schema.Required {
		if node.Field(name) == nil {
			missing = append(missing, path+"."+name)
		}
	}
	fields, err := node.Fields()
	if err != nil {
		return []string{path + ": " + err.Error()}
	}
	for _, name := range fields {
		if of := schema.Field(name); of != nil {
			missing = append(missing, lacking(node.Field(name).Value, of, path+"."+name)...)
		}
	}
	return missing
}
