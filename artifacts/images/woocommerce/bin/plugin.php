<?php
/**
 * Puts the shop's plugin into a folder: php plugin.php FOLDER
 *
 * STORE_PLUGIN is the plugin's folder in the archive, PLUGIN_URL the archive and
 * PLUGIN_SHA256 its checksum. The plugin is there either whole or not at all.
 */

namespace Store;

require __DIR__ . '/../lib/database.php';

const PLUGIN_ATTEMPTS = 5;

try {
	install_plugin(rtrim($argv[1] ?? '', '/'), plugin(), (string) getenv('PLUGIN_URL'), strtolower((string) getenv('PLUGIN_SHA256')));
} catch (\Throwable $e) {
	log("plugin: {$e->getMessage()}");
	exit(1);
}

function install_plugin(string $folder, string $plugin, string $url, string $checksum): void
{
	if (!is_dir($folder) || $url === '' || !preg_match('/^[0-9a-f]{64}$/', $checksum)) {
		throw new \InvalidArgumentException('a folder, PLUGIN_URL and PLUGIN_SHA256 are required');
	}
	$stamp = "$folder/.$plugin.sha256";
	if (is_file("$folder/$plugin/$plugin.php") && @file_get_contents($stamp) === $checksum) {
		log("plugin: $plugin is there already");
		return;
	}
	$archive = download($url);
	try {
		$found = hash_file('sha256', $archive);
		if (!hash_equals($checksum, $found)) {
			throw new \RuntimeException("$url has the checksum $found, not $checksum");
		}
		extract_plugin($archive, $folder, $plugin);
	} finally {
		unlink($archive);
	}
	file_put_contents($stamp, $checksum);
	log("plugin: $plugin is installed from $url");
}

function download(string $url): string
{
	$archive = tempnam(sys_get_temp_dir(), 'plugin');
	for ($attempt = 1; ; $attempt++) {
		$file = fopen($archive, 'w');
		$curl = curl_init($url);
		curl_setopt_array($curl, [
			CURLOPT_FILE => $file,
			CURLOPT_FAILONERROR => true,
			CURLOPT_FOLLOWLOCATION => true,
			CURLOPT_PROTOCOLS => CURLPROTO_HTTP | CURLPROTO_HTTPS,
			CURLOPT_CONNECTTIMEOUT => 10,
			CURLOPT_TIMEOUT => 120,
		]);
		$success = curl_exec($curl);
		fclose($file);
		if ($success) {
			return $archive;
		}
		if ($attempt === PLUGIN_ATTEMPTS) {
			unlink($archive);
			throw new \RuntimeException("$url: " . curl_error($curl));
		}
		log("plugin: $url: " . curl_error($curl) . ", trying again");
		sleep(2 ** ($attempt - 1));
	}
}

function extract_plugin(string $archive, string $folder, string $plugin): void
{
	$zip = new \ZipArchive();
	if ($zip->open($archive, \ZipArchive::RDONLY) !== true) {
		throw new \RuntimeException('it is no zip archive');
	}
	for ($i = 0; $i < $zip->numFiles; $i++) {
		$name = $zip->getNameIndex($i);
		if (!str_starts_with($name, "$plugin/") || \in_array('..', explode('/', strtr($name, '\\', '/')), true)) {
			throw new \RuntimeException("the archive holds $name, which is not in folder $plugin");
		}
	}
	$new = "$folder/.$plugin.new";
	remove_tree($new);
	mkdir($new);
	if (!$zip->extractTo($new) || !is_file("$new/$plugin/$plugin.php")) {
		throw new \RuntimeException("the archive does not hold $plugin/$plugin.php");
	}
	remove_tree("$folder/$plugin");
	rename("$new/$plugin", "$folder/$plugin");
	rmdir($new);
}

function remove_tree(string $folder): void
{
	if (!is_dir($folder)) {
		return;
	}
	$entries = new \RecursiveIteratorIterator(new \RecursiveDirectoryIterator($folder, \FilesystemIterator::SKIP_DOTS), \RecursiveIteratorIterator::CHILD_FIRST);
	foreach ($entries as $entry) {
		$entry->isDir() && !$entry->isLink() ? rmdir($entry->getPathname()) : unlink($entry->getPathname());
	}
	rmdir($folder);
}
