//! A window with a GL context.

use std::rc::Rc;

use euclid::default::Size2D;
use gleam::gl::{Gl, GlFns};
use surfman::{
    Connection, Context, ContextAttributeFlags, ContextAttributes, Device, GLVersion, Surface, SurfaceAccess,
    SurfaceType,
};
use webrender_api::units::DeviceIntSize;
use winit::dpi::PhysicalSize;
use winit::raw_window_handle::{HasDisplayHandle, HasWindowHandle};
use winit::window::Window;

use crate::error::WindowError;

pub struct GlWindow {
    context: Context,
    device: Device,
    /// In device pixels.
    size: Size2D<i32>,
    /// Last field: the context goes before its window.
    pub window: Window,
}

impl GlWindow {
    pub fn new(window: Window) -> Result<Self, WindowError> {
        let connection = Connection::from_display_handle(window.display_handle()?)?;
        let device = connection.create_device(&connection.create_adapter()?)?;
        let attributes = ContextAttributes {
            version: GLVersion::new(3, 3),
            flags: ContextAttributeFlags::ALPHA
                | ContextAttributeFlags::DEPTH
                | ContextAttributeFlags::STENCIL,
        };
        let context = device.create_context(&device.create_context_descriptor(&attributes)?, None)?;
        let PhysicalSize { width, height } = window.inner_size().cast();
        // From here on the context is destroyed if something fails.
        let mut gl = Self { context, device, size: Size2D::new(width, height), window };
        let native_widget =
            connection.create_native_widget_from_window_handle(gl.window.window_handle()?, gl.size)?;
        let widget = SurfaceType::Widget { native_widget };
        let surface = gl.device.create_surface(&gl.context, SurfaceAccess::GPUOnly, widget)?;
        gl.bind(surface)?;
        gl.make_current()?;
        Ok(gl)
    }

    /// Returns the functions of GL. They must be called only while this value lives and is current.
    pub fn functions(&self) -> Result<Rc<dyn Gl>, WindowError> {
        self.make_current()?;
        // SAFETY: the context is current, and the functions are its own.
        Ok(unsafe { GlFns::load_with(|name| self.device.get_proc_address(&self.context, name)) })
    }

    pub fn size(&self) -> DeviceIntSize {
        DeviceIntSize::from_untyped(self.size)
    }

    pub fn make_current(&self) -> Result<(), WindowError> {
        Ok(self.device.make_context_current(&self.context)?)
    }

    /// Follows the window to a new size. It keeps the old one if the new one is empty.
    pub fn resize(&mut self, size: PhysicalSize<u32>) -> Result<(), WindowError> {
        let PhysicalSize { width, height } = size.cast();
        let size = Size2D::new(width, height);
        if size.is_empty() {
            return Ok(());
        }
        self.size = size;
        self.with_surface(|device, context, surface| device.resize_surface(context, surface, size))
    }

    /// Shows what was drawn.
    pub fn present(&mut self) -> Result<(), WindowError> {
        self.with_surface(|device, context, surface| device.present_surface(context, surface))
    }

    /// Does something with the surface of the window, which the context lets go of meanwhile.
    fn with_surface(
        &mut self,
        act: impl FnOnce(&Device, &Context, &mut Surface) -> Result<(), surfman::Error>,
    ) -> Result<(), WindowError> {
        let surface = self.device.unbind_surface_from_context(&mut self.context)?;
        let Some(mut surface) = surface else { return Ok(()) };
        let done = act(&self.device, &self.context, &mut surface);
        self.bind(surface)?;
        Ok(done?)
    }

    fn bind(&mut self, surface: Surface) -> Result<(), WindowError> {
        let Self { device, context, .. } = self;
        device.bind_surface_to_context(context, surface).map_err(|(error, mut surface)| {
            // surfman panics if a surface is dropped that was not destroyed.
            let _ = device.destroy_surface(context, &mut surface);
            error.into()
        })
    }
}

impl Drop for GlWindow {
    fn drop(&mut self) {
        let Self { device, context, .. } = self;
        // There is nothing to do about errors here.
        if let Ok(Some(mut surface)) = device.unbind_surface_from_context(context) {
            let _ = device.destroy_surface(context, &mut surface);
        }
        let _ = device.destroy_context(context);
    }
}
