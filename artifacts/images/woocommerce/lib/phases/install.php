<?php
/**
 * WordPress itself: its tables and the owner's account, or their upgrade, and the
 * shop's plugin among the active ones.
 */

namespace {
	// WordPress would send a mail.
	function wp_new_blog_notification(): void
	{
	}

	define('WP_INSTALLING', true);
	require __DIR__ . '/../database.php';
	require __DIR__ . '/../wordpress.php';
	require_once ABSPATH . 'wp-admin/includes/upgrade.php';
	Store\install();
}

namespace Store {
	function install(): void
	{
		// The account is what is made last, so its absence tells of a killed run.
		if (!is_blog_installed() || get_option('store_owner') === false) {
			make_site();
			make_owner();
			log('WordPress is installed');
		} elseif ((int) get_option('db_version') !== (int) $GLOBALS['wp_db_version']) {
			wp_upgrade();
			log('WordPress\' database is upgraded');
		}
		$file = plugin() . '/' . plugin() . '.php';
		$active = (array) get_option('active_plugins', []);
		if (is_file(WP_PLUGIN_DIR . "/$file") && !in_array($file, $active, true)) {
			update_option('active_plugins', [...$active, $file]);
			log("plugin $file is active");
		}
	}

	/** What wp_install does, but so that it can be done twice, and without its samples. */
	function make_site(): void
	{
		wp_check_mysql_version();
		wp_cache_flush();
		make_db_current_silent();
		populate_options();
		populate_roles();
		foreach ([
			'siteurl' => WP_SITEURL,
			'home' => WP_HOME,
			'blogdescription' => '',
			'blog_public' => '1',
			'fresh_site' => 0,
			'permalink_structure' => '/%postname%/',
			'default_comment_status' => 'closed',
			'default_ping_status' => 'closed',
			'use_smilies' => 0,
		] as $name => $value) {
			update_option($name, $value);
		}
		$category = term_exists('uncategorized', 'category') ?: wp_insert_term('Uncategorized', 'category');
		update_option('default_category', (int) $category['term_id']);
	}

	/** The owner, who logs in with the e-mail address. Later changes are the owner's. */
	function make_owner(): void
	{
		$email = (string) getenv('ADMIN_EMAIL');
		$password = (string) getenv('ADMIN_PASSWORD');
		if ($email === '' || $password === '') {
			throw new \RuntimeException('ADMIN_EMAIL and ADMIN_PASSWORD must be set');
		}
		$login = sanitize_user($email, true);
		$id = username_exists($login) ?: wp_insert_user([
			'user_login' => $login,
			'user_pass' => $password,
			'user_email' => $email,
			// These are public, and the address is not to be.
			'user_nicename' => 'owner',
			'nickname' => 'owner',
			'display_name' => 'owner',
			'role' => 'administrator',
		]);
		if (is_wp_error($id)) {
			throw new \RuntimeException("making the owner's account: {$id->get_error_message()}");
		}
		update_option('admin_email', $email);
		update_option('store_owner', (string) $id, false);
	}
}
